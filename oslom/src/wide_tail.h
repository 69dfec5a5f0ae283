// Tails of wide distributions in closed form (METHOD.md 2.5): their sums have as many terms as they are wide.
//
// Both formulas for the stubs X that a vertex shares with a group (tails.h) give p(x) ~ c^-x / [ x! y! a! b! ] with
// y = x+h, a = k-x and b = O-x: the four cells of a table, two of which grow with x and two shrink. With Stirling's
// ln n! ~ N ln N - N, N = n+1/2, counted from the x at which p is largest and with e for the relative change of a cell,
//   ln p_max - ln p = sum of N f(e),  f(e) = (1+e) ln(1+e) - e
// where nothing cancels, however large the cells. The tail is that of the normal distribution at w, w^2/2 being this
// fall, with the first correction for lattices (Lugannani and Rice, Adv. Appl. Prob. 12, 475, 1980). Its relative error
// falls with the square of the variance and is below 1e-5 from a variance of 1000 on, also far out. The dull twin is
// the sum.
#ifndef OSLOM_WIDE_TAIL_H
#define OSLOM_WIDE_TAIL_H

#include <cmath>

namespace oslom {

constexpr double two_pi = 6.283185307179586476925;

// The four cells where p is largest; not necessarily whole numbers.
struct Cells {
  double both, neither;  // x and y
  double vertex, group;  // a and b: of the vertex alone, of the group alone

  double variance() const { return 1 / (1 / both + 1 / neither + 1 / vertex + 1 / group); }
  // ln p_max - ln p, after a change of x by `step`.
  double fall(double step) const {
    return fall_of(both, step) + fall_of(neither, step) + fall_of(vertex, -step) + fall_of(group, -step);
  }
  // Its derivative.
  double slope(double step) const {
    return std::log1p(step / both) + std::log1p(step / neither) - std::log1p(-step / vertex) -
           std::log1p(-step / group);
  }

 private:
  static double fall_of(double cell, double step) {
    if (cell <= 0) return 0;
    const double e = step / cell;
    if (e <= -1) return cell;
    if (std::fabs(e) > 1e-3) return cell * ((1 + e) * std::log1p(e) - e);
    return cell * e * e / 2 * (1 - e / 3 * (1 - e / 2 * (1 - e * 3 / 5)));
  }
};

class WideTail {
 public:
  // base: the c above; h: y where x = 0.
  WideTail(double k, double O, double h, double base) : WideTail(k, O, h, Peak{peak_of(k, O, h, base)}) {}

  double variance() const { return deviation_ * deviation_; }

  // P(X >= x)
  double operator()(double x) const {
    const double step = x - peak_;  // p is integrated from x - 1/2, and peak_ is 1/2 above the x where it is largest
    const double fall = cells_.fall(step), w = std::copysign(std::sqrt(2 * fall), step);
    if (fall > negligible_fall) return step > 0 ? 0 : 1;
    return 0.5 * std::erfc(w / std::sqrt(2.0)) + std::exp(-fall) / std::sqrt(two_pi) * correction(step, w);
  }

  // -ln P(X = x)
  double rarity(double x) const { return cells_.fall(x + 0.5 - peak_) + std::log(std::sqrt(two_pi) * deviation_); }

 private:
  struct Peak {
    double at;
  };
  WideTail(double k, double O, double h, Peak peak)
      : peak_(peak.at), cells_{peak_, peak_ + h, k + 1 - peak_, O + 1 - peak_},
        deviation_(std::sqrt(cells_.variance())) {}

  // The cell x+1/2 with (k-x+1/2) (O-x+1/2) = base (x+1/2) (x+h+1/2).
  static double peak_of(double k, double O, double h, double base) {
    const double product = (k + 1) * (O + 1), sum = base * h + k + O + 2;
    return 2 * product / (sum + std::sqrt(sum * sum + 4 * (base - 1) * product));
  }

  // 1/u - 1/w; where both vanish it hardly changes, and is taken beside.
  double correction(double step, double w) const {
    const double least = 1e-4 * deviation_;
    if (std::fabs(step) < least) return correction(least, std::sqrt(2 * cells_.fall(least)));
    return 1 / (2 * std::sinh(cells_.slope(step) / 2) * deviation_) - 1 / w;
  }

  static constexpr double negligible_fall = 300;

  double peak_;
  Cells cells_;
  double deviation_;
};

}  // namespace oslom

#endif  // OSLOM_WIDE_TAIL_H
