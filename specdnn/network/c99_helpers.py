"""Functions in C that a header takes along where it needs them. NAME stands for the header's name."""

HELPERS = {
    "multiply": """
/* y (m x n) += a (m x k) times b (k x n) */
static void NAME_multiply(const float *a, const float *b, float *y, int m, int k, int n)
{
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < k; j++) {
            const float factor = a[i * k + j];
            const float *row = b + j * n;
            for (int l = 0; l < n; l++) {
                y[i * n + l] += factor * row[l];
            }
        }
    }
}
""",
    "convolve": """
/* The outputs from `first` on and before `behind` whose input, at output * stride + shift, lies in 0..size-1. */
static void NAME_range(int size, int outputs, int stride, int shift, int *first, int *behind)
{
    *first = shift < 0 ? (-shift + stride - 1) / stride : 0;
    *behind = size > shift ? (size - shift + stride - 1) / stride : 0;
    if (*behind > outputs) {
        *behind = outputs;
    }
}

/* y += x convolved with w; s: groups, inputs and outputs per group, then depth, height and width of x, w, y,
   stride, dilation and padding */
static void NAME_convolve(const float *x, const float *w, float *y, const int *s)
{
    const int places = s[3] * s[4] * s[5], taps = s[6] * s[7] * s[8], results = s[9] * s[10] * s[11];
    for (int o = 0; o < s[0] * s[2]; o++, w += s[1] * taps, y += results) {
        for (int tap = 0; tap < taps; tap++) {
            const int dz = tap / (s[7] * s[8]) * s[15] - s[18];
            const int dy = tap / s[8] % s[7] * s[16] - s[19];
            const int dx = tap % s[8] * s[17] - s[20];
            int z_first, z_end, y_first, y_end, first, end;
            NAME_range(s[3], s[9], s[12], dz, &z_first, &z_end);
            NAME_range(s[4], s[10], s[13], dy, &y_first, &y_end);
            NAME_range(s[5], s[11], s[14], dx, &first, &end);
            for (int i = 0; i < s[1]; i++) {
                const float factor = w[i * taps + tap];
                const float *map = x + (o / s[2] * s[1] + i) * places;
                for (int z = z_first; z < z_end; z++) {
                    for (int row = y_first; row < y_end; row++) {
                        const float *in = map + ((z * s[12] + dz) * s[4] + row * s[13] + dy) * s[5] + dx;
                        float *out = y + (z * s[10] + row) * s[11];
                        if (s[14] == 1) {
                            for (int l = first; l < end; l++) {
                                out[l] += factor * in[l];
                            }
                        } else {
                            for (int l = first; l < end; l++) {
                                out[l] += factor * in[l * s[14]];
                            }
                        }
                    }
                }
            }
        }
    }
}
""",
    "floor_divide": """
/* a / b, rounded down as the remainder says */
static float NAME_floor_divide(float a, float b)
{
    const float rest = fmodf(a, b);
    float whole = (a - rest) / b;
    if (b == 0.0f) {
        return a / b;
    }
    if (rest != 0.0f && (b < 0.0f) != (rest < 0.0f)) {
        whole -= 1.0f;
    }
    return rintf(whole);
}
""",
    "remainder": """
/* what a leaves when divided by b, with the sign of b */
static float NAME_remainder(float a, float b)
{
    const float rest = fmodf(a, b);
    return rest != 0.0f && (b < 0.0f) != (rest < 0.0f) ? rest + b : rest;
}
""",
}
