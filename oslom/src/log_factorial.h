// ln n!, from a table for small n and from Stirling's series beyond it, ln n!/(n-d)!, where the difference of two
// such large numbers would cost four logarithms and half of the digits, and what ln n! has beyond n ln n - n.
#ifndef OSLOM_LOG_FACTORIAL_H
#define OSLOM_LOG_FACTORIAL_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace oslom {

class LogFactorial {
 public:
  static constexpr std::int64_t largest_table = std::int64_t{1} << 20;

  // The table serves 0..largest; other values work too, only slower.
  explicit LogFactorial(std::int64_t largest) {
    const std::int64_t last = largest < 2 ? 2 : (largest > largest_table ? largest_table : largest);
    table_.assign(static_cast<std::size_t>(last) + 1, 0.0);
    long double sum = 0;
    for (std::int64_t n = 2; n <= last; ++n)
      table_[static_cast<std::size_t>(n)] = static_cast<double>(sum += std::log(static_cast<long double>(n)));
  }

  double operator()(std::int64_t n) const { return tabulated(n) ? (*this)[n] : stirling(static_cast<double>(n)); }

  bool tabulated(std::int64_t n) const { return static_cast<std::size_t>(n) < table_.size(); }
  double operator[](std::int64_t n) const { return table_[static_cast<std::size_t>(n)]; }  // n is tabulated

  // ln n (n-1) ... (n-d+1), for 0 <= d <= n. Of the series of ln(1 - i/n), i < d, the first term left out adds up to
  // d^5 / (20 n^4).
  double falling(std::int64_t n, std::int64_t d) const {
    if (tabulated(n) || d > n / 10000) return (*this)(n) - (*this)(n - d);
    const double size = static_cast<double>(n), count = static_cast<double>(d), inverse = 1 / size;
    const double sum = count * (count - 1) / 2, squares = sum * (2 * count - 1) / 3, cubes = sum * sum;
    return count * std::log(size) - inverse * (sum + inverse * (squares / 2 + inverse * (cubes / 3)));
  }

  // Relative error below 1e-15 from n = 16 on; for smaller n use the table (it has 0..2 always).
  static double stirling(double n) {
    if (n < 16) return std::log(n) + stirling_or_zero(n - 1);
    return n * std::log(n) - n + 0.5 * std::log(6.283185307179586476925 * n) + series(n);
  }

  // ln n! - (n ln n - n), without the cancellation.
  double excess(std::int64_t n) const {
    const double size = static_cast<double>(n);
    if (n < 16) return n == 0 ? 0 : stirling_or_zero(size) - (size * std::log(size) - size);
    return 0.5 * std::log(6.283185307179586476925 * size) + series(size);
  }

 private:
  static double series(double n) {
    const double inverse = 1 / n, square = inverse * inverse;
    return inverse / 12 * (1 - square / 30 * (1 - square * 2 / 7));
  }
  static double stirling_or_zero(double n) { return n < 2 ? 0.0 : stirling(n); }

  std::vector<double> table_;
};

}  // namespace oslom

#endif  // OSLOM_LOG_FACTORIAL_H
