// The tails of many vertices outside the same group.
//
// All outside vertices share O and T, so their pairs { R(x+1), h(x) } come from one table, a row for each x
// that grows with k as far as it is asked for. A vertex with one more stub (paper eq. 2, hypergeometric):
//   h(x; k+1)   = h(x; k) (k+1) (T-O-k+x) / ( (k+1-x) (T-k) )
//   R(x+1; k+1) = R(x+1; k) + h(x; k) (O-x) / (T-k)       the stub k+1 is the one that makes it x+1
// Only products and sums of positive numbers: nothing cancels, so a whole row is exact to rounding, and an entry
// costs less than one exponential. The dull twin is TailFormulas, which answers for what the table does not hold:
// the exact formula (large k), and more than most_stubs stubs.
#ifndef OSLOM_TAIL_TABLE_H
#define OSLOM_TAIL_TABLE_H

#include <algorithm>
#include <array>
#include <vector>

#include "tails.h"

namespace oslom {

class TailTable {
 public:
  static constexpr Stubs most_stubs = 63;

  explicit TailTable(TailMemo& memo)
      : memo_(memo), entries_((most_stubs + 1) * (most_stubs + 1)), shares_(entries_.size()) {
    last_.fill(unknown);
    for (Stubs x = 0; x <= most_stubs; ++x)
      for (Stubs k = x; k <= most_stubs; ++k) share(x, k) = static_cast<double>(k + 1) / static_cast<double>(k + 1 - x);
  }

  Tail operator()(Stubs x, Stubs k, Stubs O, Stubs T) {
    start(O, T);
    if (k < exact_from_ && last_[x] >= k) return entry(x, k);  // k is at most most_stubs then, and x at most k
    return look_up(x, k, O, T);
  }
  Tail look_up(Stubs x, Stubs k, Stubs O, Stubs T) {
    if (k > most_stubs || k > T) return memo_(x, k, O, T);
    if (x > k || x > O) return {0, 0};
    if (last_[x] < k) fill(x, k);
    Tail tail = entry(x, k);
    if (k >= exact_from_ && memo_.formulas().uses_exact(x + 1, k, O, T)) tail.above = memo_(x, k, O, T).above;
    return tail;
  }

 private:
  static constexpr std::int32_t unknown = -1;

  void start(Stubs O, Stubs T) {
    if (O == O_ && T == T_) return;
    O_ = O;
    T_ = T;
    std::fill_n(last_.begin(), rows_used_, unknown);
    rows_used_ = stubs_known_ = 0;
    exact_from_ = std::min(memo_.formulas().exact_from(T), most_stubs + 1);
  }

  static std::size_t place(Stubs x, Stubs k) { return static_cast<std::size_t>(x * (most_stubs + 1) + k); }
  Tail& entry(Stubs x, Stubs k) { return entries_[place(x, k)]; }
  double& share(Stubs x, Stubs k) { return shares_[place(x, k)]; }

  // Entries of the row of x for k = x..last: above = R(x+1), at = h(x).
  void fill(Stubs x, Stubs k) {
    for (; stubs_known_ <= k; ++stubs_known_) per_stub_[stubs_known_] = 1 / static_cast<double>(T_ - stubs_known_);
    for (; rows_used_ <= x; ++rows_used_) begin_row(rows_used_);
    const double extra = static_cast<double>(O_ - x);
    Stubs n = last_[x];
    double free = static_cast<double>(T_ - O_ - n + x);
    Tail tail = entry(x, n);
    Tail* const row = &entry(x, 0);
    const double* const shares = &share(x, 0);
    for (; n < k; ++n, free -= 1) {
      tail.above += tail.at * (extra * per_stub_[n]);
      tail.at *= shares[n] * (std::max(free, 0.0) * per_stub_[n]);
      row[n + 1] = tail;
    }
    last_[x] = static_cast<std::int32_t>(k);
  }

  // h(x; x) = O (O-1) ... / ( T (T-1) ... ), from the row before. Beyond x = O it is zero.
  void begin_row(Stubs x) {
    const double at =
        x == 0 ? 1 : entry(x - 1, x - 1).at * static_cast<double>(O_ - x + 1) / static_cast<double>(T_ - x + 1);
    entry(x, x) = {0, at};
    last_[x] = static_cast<std::int32_t>(x);
  }

  template <typename Value>
  using PerStub = std::array<Value, most_stubs + 1>;

  TailMemo& memo_;
  Stubs O_ = -1, T_ = -1;
  Stubs rows_used_ = 0, stubs_known_ = 0;
  Stubs exact_from_ = 0;  // the k from which on the exact formula may apply
  std::vector<Tail> entries_;       // by x and k
  PerStub<std::int32_t> last_;      // by x
  std::vector<double> shares_;      // (k+1) / (k+1-x), by x and k
  PerStub<double> per_stub_;        // 1 / (T-k)
};

// What one thread knows about tails: of single vertices, and of those outside the group it looks at (in directed
// graphs, of the stubs of either direction).
struct Tails {
  explicit Tails(const LogFactorial& log_factorial, bool exact = true)
      : memo(log_factorial, exact), outside(memo), outside_reverse(memo) {}
  Tails(const Tails&) = delete;
  Tails& operator=(const Tails&) = delete;

  TailMemo memo;
  TailTable outside, outside_reverse;
};

}  // namespace oslom

#endif  // OSLOM_TAIL_TABLE_H
