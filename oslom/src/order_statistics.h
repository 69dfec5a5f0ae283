// Order statistics of the border (METHOD.md 4; paper eq. 5-7).
//
// Omega(n,q,s) = P(Binomial(n,s) >= q) is the distribution of the q-th smallest of n uniforms. The
// best of a whole border, c = min over q of Omega(n,q,s_q), follows P(c_min <= c) = 1 - exp(-lambda(n) c),
// lambda from a fit, so that a border is significant at tolerance P when c < xi(n).
//
// Approach: the border test only asks whether Omega(n,q,s) < xi(n). Omega grows with s, so each (n,q)
// has one critical score; they are computed when first needed (Newton steps on ln Omega against ln s,
// which is concave: they climb from below without overshoot) and kept per n.
#ifndef OSLOM_ORDER_STATISTICS_H
#define OSLOM_ORDER_STATISTICS_H

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <vector>

#include "log_factorial.h"

namespace oslom {

using Count = std::int64_t;

// lambda(n) of the fit.
inline double border_lambda(Count n) {
  const double log_n = n > 0 ? std::log(static_cast<double>(n)) : 0;
  if (n > 100) return 4.2 * log_n - 8.5;
  if (n > 30) return 3.5 * log_n - 5.5;
  if (n > 7) return 2.5 * log_n - 2.0;
  if (n > 1) return 1.3 * log_n + 0.1;
  return 1;
}

// The value that c must stay below; infinite for tolerance 1, zero for tolerance 0.
inline double critical_value(Count n, double tolerance) { return -std::log1p(-tolerance) / border_lambda(n); }

// The probability reported for a group whose border has minimum c ("bs").
inline double border_probability(Count n, double c) { return -std::expm1(-border_lambda(n) * c); }

class Binomial {
 public:
  explicit Binomial(const LogFactorial& log_factorial) : lf_(log_factorial) {}

  // Omega(n,q,s)
  double at_least(Count n, Count q, double s) const {
    if (q <= 0) return 1;
    if (q > n) return 0;
    if (s >= 1 - 1e-11) return 1;
    if (s <= 0) return 0;
    if (static_cast<double>(q) < static_cast<double>(n) * s)
      return std::max(0.0, 1 - std::exp(log_mass(n, q - 1, s)) * series_down(n, q - 1, s));
    return std::min(1.0, std::exp(log_mass(n, q, s)) * series_up(n, q, s));
  }

  double log_mass(Count n, Count q, double s) const {
    return lf_(n) - lf_(q) - lf_(n - q) + static_cast<double>(q) * std::log(s) +
           static_cast<double>(n - q) * std::log1p(-s);
  }

  // P(Bin >= q) / P(Bin = q)
  static double series_up(Count n, Count q, double s) {
    const double odds = s / (1 - s);
    double sum = 1, term = 1;
    for (Count j = q; j < n && term > 1e-14 * sum; ++j)
      sum += term *= odds * static_cast<double>(n - j) / static_cast<double>(j + 1);
    return sum;
  }

  // P(Bin <= q) / P(Bin = q)
  static double series_down(Count n, Count q, double s) {
    const double odds = (1 - s) / s;
    double sum = 1, term = 1;
    for (Count j = q; j > 0 && term > 1e-14 * sum; --j)
      sum += term *= odds * static_cast<double>(j) / static_cast<double>(n - j + 1);
    return sum;
  }

 private:
  const LogFactorial& lf_;
};

// A logarithmic scale of scores: eight steps to a factor of two, from 2^-26 or less to 1/4 or more.
struct ScoreScale {
  static constexpr std::size_t steps = 8 * 24;

  static std::size_t step(double score) {
    std::uint64_t bits;
    std::memcpy(&bits, &score, sizeof bits);
    return static_cast<std::size_t>(
        std::clamp<std::int64_t>(static_cast<std::int64_t>(bits >> 49) - first, 0, steps - 1));
  }

 private:
  static constexpr std::int64_t first = 8 * (1023 - 26);  // of 2^-26
};

// The critical scores of one n: Omega(n,q,s) < xi exactly when s < critical(q).
class CriticalScores {
 public:
  CriticalScores(Count n, double tolerance, const Binomial& binomial)
      : n_(n), xi_(critical_value(n, tolerance)), log_xi_(std::log(xi_)), binomial_(binomial) {}

  Count n() const { return n_; }
  double xi() const { return xi_; }

  bool significant(Count q, double s) {
    // The median of a binomial is at least floor(n s): then Omega >= 1/2 and no table is needed.
    if (xi_ < 0.5 && static_cast<double>(q) <= std::floor(static_cast<double>(n_) * s)) return false;
    return s < critical(q);
  }

  double critical(Count q) {
    if (q > n_ || xi_ > 1) return std::numeric_limits<double>::infinity();
    if (xi_ <= 0) return 0;
    know(q);
    return scores_[static_cast<std::size_t>(q - 1)];
  }

  // Its step on the scale, jitter included.
  std::size_t step(Count q) {
    if (q > n_ || xi_ > 1) return ScoreScale::steps - 1;
    if (xi_ <= 0) return 0;
    know(q);
    return steps_[static_cast<std::size_t>(q - 1)];
  }

 private:
  void know(Count q) {
    if (static_cast<Count>(scores_.size()) < q) find_out(q);
  }
  void find_out(Count q) {
    while (static_cast<Count>(scores_.size()) < q) {
      scores_.push_back(solve(static_cast<Count>(scores_.size()) + 1));
      steps_.push_back(static_cast<std::uint8_t>(ScoreScale::step(scores_.back() * (1 + 1e-5))));
    }
  }

  double solve(Count q) const {
    if (q == 1) return -std::expm1(std::log1p(-xi_) / static_cast<double>(n_));
    double s = scores_.back();  // smaller than the solution
    for (int step = 0; step < 100; ++step) {
      const double series = Binomial::series_up(n_, q, s);
      const double gap = log_xi_ - binomial_.log_mass(n_, q, s) - std::log(series);
      const double next = std::min(s * std::exp(gap * series / static_cast<double>(q)), 1 - 1e-15);
      // A step of Newton's squares the error: behind one so small there is nothing but rounding.
      if (std::fabs(next - s) <= 1e-8 * s) return next;
      s = next;
    }
    return s;
  }

  Count n_;
  double xi_, log_xi_;
  const Binomial& binomial_;
  std::vector<double> scores_;
  std::vector<std::uint8_t> steps_;
};

// One thread's critical scores for all n met so far.
class OrderStatistics {
 public:
  OrderStatistics(double tolerance, const LogFactorial& log_factorial)
      : tolerance_(tolerance), binomial_(log_factorial) {}
  OrderStatistics(const OrderStatistics&) = delete;
  OrderStatistics& operator=(const OrderStatistics&) = delete;

  double tolerance() const { return tolerance_; }
  const Binomial& binomial() const { return binomial_; }

  CriticalScores& for_border(Count n) {
    const auto found = rows_.find(n);
    if (found != rows_.end()) return found->second;
    if (rows_.size() >= most_rows) rows_.clear();
    return rows_.emplace(n, CriticalScores(n, tolerance_, binomial_)).first->second;
  }

 private:
  static constexpr std::size_t most_rows = 20000;

  double tolerance_;
  Binomial binomial_;
  std::unordered_map<Count, CriticalScores> rows_;
};

}  // namespace oslom

#endif  // OSLOM_ORDER_STATISTICS_H
