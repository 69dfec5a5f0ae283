// The topological null model: how many of the k stubs of a vertex end in a group (METHOD.md 2; paper eq. 2-4).
//
// A group leaves O stubs among the T stubs of the vertices outside it. For an outside vertex with k
// of these T stubs and X of them matched with the group there are two formulas:
//   hypergeometric  h(x) = C(O,x) C(T-O,k-x) / C(T,k)
//   exact           p(x) ~ 2^-x / [ (k-x)! (O-x)! (x+h0)! x! ],  h0 = (T-2k-O)/2
// R(x) = P(X >= x) uses the hypergeometric tail when k*k < T or x lies below the mode, else the
// exact one; directed graphs use the hypergeometric only. h(x), which spreads a discrete value over an interval, is
// always hypergeometric. Every use needs the pair { R(x+1), h(x) }, so that pair is what is computed and remembered.
//
// Approach: one exponential for h(x); tails by ratios of successive terms, cut when a term no longer
// matters; the lower tail is summed below the mean. Where these sums would be long, as parallel edges are many, they
// have a closed form (wide_tail.h). TailMemo keeps recent pairs by (x,k,O,T): the repeated passes over a group visit
// the same few states again and again.
#ifndef OSLOM_TAILS_H
#define OSLOM_TAILS_H

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <vector>

#include "graph_types.h"
#include "log_factorial.h"
#include "random.h"
#include "wide_tail.h"

namespace oslom {

constexpr double smallest_score = 1e-100;
constexpr double negligible_term = 1e-5;     // relative to the sum so far
constexpr double negligible_leader = 1e-40;  // a tail that starts below this is zero
constexpr double largest_sum = 1e280;        // of an exact tail; beyond it the hypergeometric one is taken
constexpr Stubs widest_sum = 1000;           // variance up to which tails are summed

struct Tail {
  double above;  // R(x+1)
  double at;     // h(x)
};

// Fewer links than expected: then R(x+1) >= 1/2, as the median of X is not below floor(O k / T).
inline bool below_expectation(Stubs x, Stubs k, Stubs O, Stubs T) {
  return static_cast<double>(x + 1) * static_cast<double>(T) <= static_cast<double>(O) * static_cast<double>(k);
}

// A number such that R(x) is not above exp(-number): Bernstein's inequality for the hypergeometric distribution. The
// variance of the exact formula may be larger, hence the 2.
inline double tail_fall(Stubs x, Stubs k, Stubs O, Stubs T, bool exact) {
  const double density = static_cast<double>(O) / static_cast<double>(T);
  const double mean = static_cast<double>(k) * density, above = static_cast<double>(x) - mean;
  if (above <= 0) return 0;
  const double variance = exact ? 2 * mean : mean * (1 - density);
  return above * above / (2 * (variance + above / 3));
}

class TailFormulas {
 public:
  // exact: whether the exact formula may be used.
  explicit TailFormulas(const LogFactorial& log_factorial, bool exact = true) : lf_(log_factorial), exact_(exact) {}

  Tail operator()(Stubs x, Stubs k, Stubs O, Stubs T) const {
    const double at = hypergeometric(x, k, O, T);
    return {right_tail(x + 1, k, O, T, at), at};
  }

  double hypergeometric(Stubs x, Stubs k, Stubs O, Stubs T) const {
    if (x < 0 || x > k || x > O || T - O - k + x < 0) return 0;
    if (!lf_.tabulated(k)) return hypergeometric_beyond(x, k, O, T);
    if (!lf_.tabulated(T))
      return std::exp(lf_[k] - lf_[x] - lf_[k - x] + lf_.falling(O, x) + lf_.falling(T - O, k - x) - lf_.falling(T, k));
    return std::exp(lf_[O] - lf_[x] - lf_[O - x] + lf_[T - O] - lf_[k - x] - lf_[T - O - k + x] -
                    (lf_[T] - lf_[k] - lf_[T - k]));
  }

  // h(x) is at least this, of use while O k / T is small: every factor O-i at its least, and (1-p)^n >= 1 - n p.
  static double hypergeometric_floor(Stubs x, Stubs k, Stubs O, Stubs T) {
    if (x > O || x > k || k >= T || x > most_factors) return 0;
    const double others = 1 - static_cast<double>(k - x) * static_cast<double>(O - x) / static_cast<double>(T - k + 1);
    const double p = static_cast<double>(O - x + 1) / static_cast<double>(T);
    double h = others;
    for (Stubs i = 0; i < x && h > smallest_score; ++i)
      h *= p * static_cast<double>(k - i) / static_cast<double>(i + 1);
    return std::max(h, 0.0);
  }

  // The smallest k with k*k >= T, where the exact formula begins.
  Stubs exact_from(Stubs T) const {
    if (!exact_) return std::numeric_limits<Stubs>::max();
    return static_cast<Stubs>(std::ceil(std::sqrt(static_cast<double>(T))));
  }

  bool may_be_exact(Stubs k, Stubs T) const {
    return exact_ && static_cast<double>(k) * static_cast<double>(k) >= static_cast<double>(T);
  }

  // Whether R(x) is that of the exact formula.
  bool uses_exact(Stubs x, Stubs k, Stubs O, Stubs T) const {
    if (!may_be_exact(k, T)) return false;
    return x >= mode_of(k, O, T, std::max<Stubs>(0, -(T - 2 * k - O) / 2));
  }

  // R(x); before = h(x-1), from which the hypergeometric tail continues.
  double right_tail(Stubs x, Stubs k, Stubs O, Stubs T, double before) const {
    if (x > k || x > O) return 0;
    if (uses_exact(x, k, O, T)) {
      const double tail = exact_right_tail(x, k, O, T);
      if (!std::isnan(tail)) return tail;
    }
    return hypergeometric_tail(x, k, O, T, before);
  }

  double hypergeometric_tail(Stubs x, Stubs k, Stubs O, Stubs T, double before) const {
    if (x > k || x > O) return 0;
    if (x <= 0 || T - O - k + x <= 0) return 1;
    const bool below_mean =
        static_cast<double>(x) * static_cast<double>(T + 2) < static_cast<double>(O + 1) * static_cast<double>(k + 1);
    const double first = before * hypergeometric_ratio(x, k, O, T);
    if (!below_mean && first <= negligible_leader) return 0;
    if (const auto wide = if_wide(k, O, T - O - k, 1)) return (*wide)(static_cast<double>(x));
    return below_mean ? 1 - sum_downwards(x - 1, k, O, T, before) : sum_upwards(x, k, O, T, first);
  }

 private:
  static Stubs mode_of(Stubs k, Stubs O, Stubs T, Stubs low) {
    const double mean = static_cast<double>(O) * static_cast<double>(k) / static_cast<double>(T);
    return std::clamp<Stubs>(static_cast<Stubs>(mean + 0.5), low, std::max(low, O));
  }

  // As a 2x2 table of x, k-x, O-x and the rest around their expectations: nothing cancels, as log factorials of large
  // numbers do.
  double hypergeometric_beyond(Stubs x, Stubs k, Stubs O, Stubs T) const {
    if (const auto wide = if_wide(k, O, T - O - k, 1)) return std::exp(-wide->rarity(static_cast<double>(x)));
    const double all = static_cast<double>(T), share = static_cast<double>(k) / all,
                 rest = static_cast<double>(T - k) / all;
    const Stubs counts[] = {x, T - O - k + x, k - x, O - x};
    const Cells expected{share * static_cast<double>(O), rest * static_cast<double>(T - O),
                         share * static_cast<double>(T - O), rest * static_cast<double>(O)};
    const double steps[] = {
        static_cast<double>(counts[0]) - expected.both, static_cast<double>(counts[1]) - expected.neither,
        expected.vertex - static_cast<double>(counts[2]), expected.group - static_cast<double>(counts[3])};
    const auto least =
        std::min_element(std::begin(counts), std::end(counts)) - std::begin(counts);  // the most exact one
    double log_h = lf_.excess(k) + lf_.excess(T - k) + lf_.excess(O) + lf_.excess(T - O) - lf_.excess(T);
    for (Stubs count : counts) log_h -= lf_.excess(count);
    return std::exp(log_h - expected.fall(steps[least]));
  }

  // The closed form where a sum would be long; the variance is below k and below O.
  static std::optional<WideTail> if_wide(Stubs k, Stubs O, Stubs h, double base) {
    if (std::min(k, O) < widest_sum) return {};
    const WideTail wide(static_cast<double>(k), static_cast<double>(O), static_cast<double>(h), base);
    if (wide.variance() < widest_sum) return {};
    return wide;
  }

  // h(x) / h(x-1)
  static double hypergeometric_ratio(Stubs x, Stubs k, Stubs O, Stubs T) {
    return static_cast<double>(O - x + 1) * static_cast<double>(k - x + 1) /
           (static_cast<double>(x) * static_cast<double>(T - O - k + x));
  }

  // h(x) + h(x+1) + ..., from term = h(x). Beyond x = min(k,O) the ratio is zero.
  static double sum_upwards(Stubs x, Stubs k, Stubs O, Stubs T, double term) {
    double a = static_cast<double>(O - x), b = static_cast<double>(k - x);
    double c = static_cast<double>(x + 1), d = static_cast<double>(T - O - k + x + 1);
    double sum = term;
    for (; term > negligible_term * sum; a -= 1, b -= 1, c += 1, d += 1) sum += term *= a * b / (c * d);
    return sum;
  }

  // h(x) + h(x-1) + ... + h(0), from term = h(x).
  static double sum_downwards(Stubs x, Stubs k, Stubs O, Stubs T, double term) {
    double a = static_cast<double>(O - x + 1), b = static_cast<double>(k - x + 1);
    double c = static_cast<double>(x), d = static_cast<double>(T - O - k + x);
    double sum = term;
    for (; term > negligible_term * sum; a += 1, b += 1, c -= 1, d -= 1) sum += term *= c * d / (a * b);
    return sum;
  }

  // R(x) by the exact formula; not a number where the sums leave their range.
  double exact_right_tail(Stubs x, Stubs k, Stubs O, Stubs T) const {
    const Stubs h0 = (T - 2 * k - O) / 2;
    const Stubs low = std::max<Stubs>(0, -h0);
    if (x <= low) return 1;
    const double tail = exact_tail(x, mode_of(k, O, T, low), low, k, O, h0);
    return tail < smallest_score ? smallest_score : tail;
  }

  // ln p(to) - ln p(from)
  double log_exact_change(Stubs from, Stubs to, Stubs k, Stubs O, Stubs h0) const {
    const Stubs by = to - from;
    return -static_cast<double>(by) * 0.693147180559945309417 + lf_.falling(k - from, by) + lf_.falling(O - from, by) -
           lf_.falling(to + h0, by) - lf_.falling(to, by);
  }

  // Sum of p from x on, divided by the sum of all p; x is not below the hypergeometric mode, to which everything is
  // relative. Not a number if p rises so far above its value there that the sums leave their range.
  double exact_tail(Stubs x, Stubs mode, Stubs low, Stubs k, Stubs O, Stubs h0) const {
    const Stubs high = std::min(k, O), top = std::min(mode, high);
    if (const auto wide = if_wide(k, O, h0, 2))
      return wide->rarity(static_cast<double>(top)) < std::log(largest_sum) ? (*wide)(static_cast<double>(x))
                                                                            : not_a_number;
    double first = 1;
    const double below_x = x - top > long_walk ? series_up(top, x - 1, k, O, h0) : walk_up(top, x, k, O, h0, first);
    if (x - top > long_walk) first = std::exp(log_exact_change(top, x, k, O, h0));
    const double tail = first * series_up(x, high, k, O, h0);
    const double all = tail + below_x + series_down(top, low, k, O, h0);
    return all < largest_sum ? tail / all : not_a_number;
  }

  // p(from)+...+p(to-1) and, in `term`, p(to), all divided by p(from).
  static double walk_up(Stubs from, Stubs to, Stubs k, Stubs O, Stubs h0, double& term) {
    double a = static_cast<double>(k - from), b = static_cast<double>(O - from);
    double c = 2 * static_cast<double>(from + 1), d = static_cast<double>(from + 1 + h0);
    double sum = 0;
    for (Stubs left = to - from; left > 0; --left, a -= 1, b -= 1, c += 2, d += 1) sum += term, term *= a * b / (c * d);
    return sum;
  }

  // p(from)+...+p(to), divided by p(from)
  static double series_up(Stubs from, Stubs to, Stubs k, Stubs O, Stubs h0) {
    double a = static_cast<double>(k - from), b = static_cast<double>(O - from);
    double c = 2 * static_cast<double>(from + 1), d = static_cast<double>(from + 1 + h0);
    double sum = 1, term = 1;
    for (Stubs left = to - from; left > 0 && term > negligible_term * sum; --left, a -= 1, b -= 1, c += 2, d += 1)
      sum += term *= a * b / (c * d);
    return sum;
  }

  // p(to)+...+p(from-1), divided by p(from)
  static double series_down(Stubs from, Stubs to, Stubs k, Stubs O, Stubs h0) {
    double a = static_cast<double>(k - from + 1), b = static_cast<double>(O - from + 1);
    double c = 2 * static_cast<double>(from), d = static_cast<double>(from + h0);
    double sum = 0, term = 1;
    for (Stubs left = from - to; left > 0 && term > negligible_term * sum; --left, a += 1, b += 1, c -= 2, d -= 1)
      sum += term *= c * d / (a * b);
    return sum;
  }

  static constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
  static constexpr Stubs long_walk = 50;      // beyond it, exponentials are cheaper than steps
  static constexpr Stubs most_factors = 512;  // beyond it, a floor costs as much as what it spares

  const LogFactorial& lf_;
  bool exact_;
};

class TailMemo {
 public:
  explicit TailMemo(const LogFactorial& log_factorial, bool exact = true)
      : formulas_(log_factorial, exact), entries_(std::size_t{1} << bits) {}

  const TailFormulas& formulas() const { return formulas_; }

  Tail operator()(Stubs x, Stubs k, Stubs O, Stubs T) {
    const std::uint64_t vertex = name(k, x), group = name(O, T);
    Entry& entry = entries_[slot_of(vertex, group)];
    if (entry.vertex != vertex || entry.group != group) entry = {vertex, group, formulas_(x, k, O, T)};
    return entry.tail;
  }

 private:
  static constexpr int bits = 10;  // of a slot's number: what is remembered shall fit into the first cache
  struct Entry {
    std::uint64_t vertex = 1, group = 0;  // no vertex has one stub of none
    Tail tail{0, 0};
  };

  // Of a pair of numbers: both of them if they are small, else as different as 64 bits can tell.
  static std::uint64_t name(Stubs first, Stubs second) {
    std::uint64_t high = static_cast<std::uint64_t>(first);
    const std::uint64_t low = static_cast<std::uint64_t>(second);
    return ((high | low) >> 32) == 0 ? high << 32 | low : splitmix64(high) ^ low * 0x9e3779b97f4a7c15ULL;
  }
  static std::size_t slot_of(std::uint64_t vertex, std::uint64_t group) {
    const std::uint64_t mixed = (vertex * 0x9e3779b97f4a7c15ULL) ^ (group * 0xd1342543de82ef95ULL);
    return static_cast<std::size_t>((mixed * 0x94d049bb133111ebULL) >> (64 - bits));
  }

  TailFormulas formulas_;
  std::vector<Entry> entries_;
};

}  // namespace oslom

#endif  // OSLOM_TAILS_H
