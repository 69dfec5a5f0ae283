#include <algorithm>
#include <cmath>
#include <vector>

#include "doctest/doctest.h"
#include "random.h"
#include "scores.h"
#include "tables.h"
#include "tail_table.h"
#include "tails.h"
#include "wide_tail.h"

using namespace oslom;
using doctest::Approx;

namespace {

const TailFormulas formulas(log_factorial);

struct Vector {
  Stubs x, k, O, T;
  double h, R, R_next;
};

// The dull twins: sums over the whole support.
double choose(Stubs n, Stubs k) { return std::lgamma(n + 1.0) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1.0); }

double plain_hypergeometric(Stubs x, Stubs k, Stubs O, Stubs T) {
  if (x < 0 || x > O || x > k || k - x > T - O) return 0;
  return std::exp(choose(O, x) + choose(T - O, k - x) - choose(T, k));
}

double plain_hypergeometric_tail(Stubs x, Stubs k, Stubs O, Stubs T) {
  double sum = 0;
  for (Stubs i = x; i <= std::min(k, O); ++i) sum += plain_hypergeometric(i, k, O, T);
  return sum;
}

double plain_exact_tail(Stubs x, Stubs k, Stubs O, Stubs T) {
  const Stubs h0 = (T - 2 * k - O) / 2, low = std::max<Stubs>(0, -h0), high = std::min(k, O);
  std::vector<double> logs;
  for (Stubs i = low; i <= high; ++i)
    logs.push_back(-static_cast<double>(i) * std::log(2.0) - std::lgamma(k - i + 1.0) - std::lgamma(O - i + 1.0) -
                   std::lgamma(i + h0 + 1.0) - std::lgamma(i + 1.0));
  const double largest = *std::max_element(logs.begin(), logs.end());
  double tail = 0, all = 0;
  for (Stubs i = low; i <= high; ++i) {
    const double term = std::exp(logs[static_cast<std::size_t>(i - low)] - largest);
    all += term;
    if (i >= x) tail += term;
  }
  return tail / all;
}

double plain_right_tail(Stubs x, Stubs k, Stubs O, Stubs T) {
  if (x > k || x > O) return 0;
  if (k * k < T) return plain_hypergeometric_tail(x, k, O, T);
  const Stubs low = std::max<Stubs>(0, -(T - 2 * k - O) / 2);
  if (x <= low) return 1;
  const Stubs mode = std::clamp<Stubs>(static_cast<Stubs>(static_cast<double>(O * k) / static_cast<double>(T) + 0.5),
                                       low, std::max(low, O));
  return x < mode ? plain_hypergeometric_tail(x, k, O, T) : plain_exact_tail(x, k, O, T);
}

// The same for numbers of stubs that are far too large for log factorials: from the largest term by ratios p(i+1)/p(i)
// = (k-i) (O-i) / (base (i+1) (i+1+h)), as far as terms matter to the smallest tail that is asked for.
class PlainSum {
 public:
  PlainSum(Stubs k, Stubs O, Stubs h, long double base) : k_(k), O_(O), h_(h), base_(base) {
    Stubs low = std::max<Stubs>(0, -h), high = std::min(k, O);
    while (low < high) {
      const Stubs middle = low + (high - low) / 2;
      if (ratio(middle) > 1) low = middle + 1;
      else high = middle;
    }
    peak_ = low;
    for (Stubs i = peak_; i <= std::min(k, O) && up_.size() < most; ++i)
      up_.push_back(i == peak_ ? 1 : up_.back() * ratio(i - 1));
    for (Stubs i = peak_; i >= std::max<Stubs>(0, -h) && down_.size() < most; --i)
      down_.push_back(i == peak_ ? 1 : down_.back() / ratio(i));
    for (std::size_t i = up_.size() - 1; i-- > 0;) up_[i] += up_[i + 1];
    for (std::size_t i = down_.size() - 1; i-- > 0;) down_[i] += down_[i + 1];
  }
  Stubs peak() const { return peak_; }
  // P(X >= x)
  double tail(Stubs x) const {
    const long double all = up_[0] + down_[0] - 1;
    if (x <= peak_) return static_cast<double>(1 - at(down_, peak_ - x + 1) / all);
    return static_cast<double>(at(up_, x - peak_) / all);
  }
  double point(Stubs x) const { return tail(x) - tail(x + 1); }

 private:
  static constexpr std::size_t most = 2000000;
  long double ratio(Stubs i) const {
    return static_cast<long double>(k_ - i) * static_cast<long double>(O_ - i) /
           (base_ * static_cast<long double>(i + 1) * static_cast<long double>(i + 1 + h_));
  }
  static long double at(const std::vector<long double>& sums, Stubs i) {
    return i < static_cast<Stubs>(sums.size()) ? sums[static_cast<std::size_t>(i)] : 0;
  }

  Stubs k_, O_, h_;
  long double base_;
  Stubs peak_;
  std::vector<long double> up_, down_;  // sums of p from the peak, or from further away on
};

}  // namespace

TEST_CASE("log factorials agree with lgamma, in the table and beyond it") {
  const LogFactorial small(10);
  for (std::int64_t n : {0, 1, 2, 10, 11, 16, 17, 100, 12345}) {
    CHECK(small(n) == Approx(std::lgamma(static_cast<double>(n) + 1)).epsilon(1e-12));
    CHECK(log_factorial(n) == Approx(std::lgamma(static_cast<double>(n) + 1)).epsilon(1e-12));
  }
}

TEST_CASE("falling factorials equal their factors, in the table and beyond it, for few factors and many") {
  for (std::int64_t n : {5LL, 99LL, 20000LL, 20001LL, 1048577LL, 15000000LL, 3000000000LL})
    for (std::int64_t d : {0LL, 1LL, 2LL, 5LL, 50LL, 100LL, 1500LL, 20000LL}) {
      if (d > n) continue;
      long double sum = 0;
      for (std::int64_t i = 0; i < d; ++i) sum += std::log(static_cast<long double>(n - i));
      CAPTURE(n);
      CAPTURE(d);
      const bool difference = n <= 20000 || d > n / 10000;  // of numbers of the size of n ln n
      const double rounding = difference ? 1e-15 * static_cast<double>(n) * std::log(static_cast<double>(n)) : 0;
      CHECK(std::fabs(log_factorial.falling(n, d) - static_cast<double>(sum)) <=
            1e-14 * static_cast<double>(sum) + rounding);
    }
}

TEST_CASE("hypergeometric and exact tails: vectors of the old program") {
  const Vector vectors[] = {{3, 5, 40, 1000, 5.5124861e-04, 5.6196247e-04, 1.0713853e-05},
                            {5, 10, 60, 2000, 4.5097259e-06, 4.618191e-06, 1.0848258e-07},
                            {8, 15, 100, 15000, 1.8078028e-14, 1.8165199e-14, 8.7171893e-17},
                            {12, 50, 300, 2000, 3.2043565e-02, 6.8565554e-02, 3.2831709e-02},
                            {20, 50, 400, 2000, 5.3245724e-04, 1.0063149e-03, 3.4084502e-04},
                            {10, 40, 150, 1500, 3.2302796e-03, 5.2324332e-03, 1.4794055e-03},
                            {2, 3, 30, 500, 9.8727576e-03, 1.0068812e-02, 1.9605476e-04}};
  for (const Vector& v : vectors) {
    CAPTURE(v.x);
    const Tail tail = formulas(v.x, v.k, v.O, v.T);
    CHECK(tail.at == Approx(v.h).epsilon(2e-5));
    CHECK(tail.above == Approx(v.R_next).epsilon(2e-5));
    CHECK(formulas.right_tail(v.x, v.k, v.O, v.T, formulas.hypergeometric(v.x - 1, v.k, v.O, v.T)) ==
          Approx(v.R).epsilon(2e-5));
  }
}

TEST_CASE("probabilities beyond the table are those of a table that is large enough") {
  const LogFactorial small(10);
  const TailFormulas beyond(small);
  Random random(7);
  for (int trial = 0; trial < 3000; ++trial) {
    const Stubs T = 2 + static_cast<Stubs>(random.below(20000)),
                O = 1 + static_cast<Stubs>(random.below(static_cast<std::uint64_t>(T - 1)));
    const Stubs k = static_cast<Stubs>(random.below(60)),
                x = static_cast<Stubs>(random.below(static_cast<std::uint64_t>(k + 1)));
    CAPTURE(x);
    CAPTURE(k);
    CAPTURE(O);
    CAPTURE(T);
    CHECK(beyond.hypergeometric(x, k, O, T) == Approx(formulas.hypergeometric(x, k, O, T)).epsilon(1e-9));
  }
}

TEST_CASE("tails equal their direct sums") {
  Random random(1);
  int exact = 0, below_mode = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    const Stubs k = 1 + static_cast<Stubs>(random.below(60)), O = 1 + static_cast<Stubs>(random.below(300));
    const Stubs T = O + 2 * (k + static_cast<Stubs>(random.below(1500)));  // T - O even
    const Stubs low = std::max<Stubs>(0, -(T - 2 * k - O) / 2);
    const Stubs x = low + static_cast<Stubs>(random.below(static_cast<std::uint64_t>(std::min(k, O) - low + 1)));
    const Tail tail = formulas(x, k, O, T);
    CAPTURE(x);
    CAPTURE(k);
    CAPTURE(O);
    CAPTURE(T);
    CHECK(tail.at == Approx(plain_hypergeometric(x, k, O, T)).epsilon(1e-8));
    const double plain = plain_right_tail(x + 1, k, O, T);
    if (plain > 1e-30) CHECK(tail.above == Approx(plain).epsilon(1e-4));
    exact += k * k >= T;
    below_mode += static_cast<double>(x) * static_cast<double>(T) < static_cast<double>(O * k);
  }
  CHECK(exact > 300);
  CHECK(below_mode > 100);
}

TEST_CASE("a vertex with fewer links than expected has a tail of at least one half") {
  Random random(2);
  int met = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    const Stubs k = 1 + static_cast<Stubs>(random.below(80)), O = 1 + static_cast<Stubs>(random.below(400));
    const Stubs T = O + 2 * (k + static_cast<Stubs>(random.below(300)));
    const Stubs x = static_cast<Stubs>(random.below(static_cast<std::uint64_t>(std::min(k, O) + 1)));
    if (!below_expectation(x, k, O, T)) continue;
    ++met;
    CAPTURE(x);
    CAPTURE(k);
    CAPTURE(O);
    CAPTURE(T);
    CHECK(formulas(x, k, O, T).above >= 0.49);
  }
  CHECK(met > 1000);
}

TEST_CASE("remembered tails are the computed ones, whatever was asked before") {
  TailMemo memo(log_factorial);
  Random random(3);
  for (int trial = 0; trial < 100000; ++trial) {
    const Stubs k = 1 + static_cast<Stubs>(random.below(20)), O = 20 + static_cast<Stubs>(random.below(40));
    const Stubs T = O + 2 * (k + 300 + static_cast<Stubs>(random.below(10))),
                x = static_cast<Stubs>(random.below(static_cast<std::uint64_t>(k + 1)));
    const Tail fresh = formulas(x, k, O, T), kept = memo(x, k, O, T);
    REQUIRE(kept.above == fresh.above);
    REQUIRE(kept.at == fresh.at);
  }
}

TEST_CASE("tails from the table are the computed ones, in whatever order they are asked for") {
  TailMemo memo(log_factorial);
  TailTable table(memo);
  Random random(4);
  int exact = 0;
  for (int trial = 0; trial < 60000; ++trial) {
    const Stubs O = 20 + static_cast<Stubs>(random.below(3)),
                T = 20 + O + 2 * (80 + static_cast<Stubs>(trial / 1000) * 9);
    const Stubs k = 1 + static_cast<Stubs>(random.below(80)), h0 = (T - 2 * k - O) / 2;
    const Stubs low = std::max<Stubs>(0, -h0);
    const Stubs x = std::min({k, O, low + static_cast<Stubs>(random.below(30))});
    CAPTURE(x);
    CAPTURE(k);
    CAPTURE(O);
    CAPTURE(T);
    const Tail plain = formulas(x, k, O, T), quick = table(x, k, O, T);
    REQUIRE(quick.at == Approx(plain.at).epsilon(1e-9).scale(1e-30));
    REQUIRE(quick.above == Approx(plain.above).epsilon(1e-4).scale(1e-30));
    exact += formulas.uses_exact(x + 1, k, O, T);
  }
  CHECK(exact > 1000);
  CHECK(table(5, 3, 10, 100).at == 0);
}

TEST_CASE("wide tails in closed form equal their sums, with many parallel edges and very many") {
  const Stubs states[][3] = {  // k, O, T
                             {8000, 8000, 26000},
                             {30000, 5000, 90000},
                             {400000, 3000000, 9000000},
                             {60000, 90000, 150200},
                             {1082000000, 21640000000, 16230000000000},
                             {Stubs{1} << 34, Stubs{1} << 35, Stubs{1} << 40}};
  int far = 0;
  for (const auto& [k, O, T] : states)
    for (int base : {1, 2}) {
      const Stubs h = base == 1 ? T - O - k : (T - 2 * k - O) / 2;
      const PlainSum plain(k, O, h, base);
      const WideTail wide(static_cast<double>(k), static_cast<double>(O), static_cast<double>(h), base);
      const double deviation = std::sqrt(wide.variance());
      REQUIRE(wide.variance() > static_cast<double>(widest_sum));
      for (double place : {-6.0, -2.0, -0.5, -1e-5, 0.0, 1e-5, 0.01, 0.5, 1.0, 3.0, 7.0, 15.0, 20.0}) {
        const Stubs x = plain.peak() + static_cast<Stubs>(std::lround(place * deviation));
        CAPTURE(x);
        CAPTURE(k);
        CAPTURE(O);
        CAPTURE(T);
        CAPTURE(base);
        if (x <= 0 || plain.tail(x) < 1e-95) continue;
        CHECK(wide(static_cast<double>(x)) == Approx(plain.tail(x)).epsilon(2e-5));
        if (std::fabs(place) < 3)
          CHECK(std::exp(-wide.rarity(static_cast<double>(x))) == Approx(plain.point(x)).epsilon(2e-4));
        far += plain.tail(x) < 1e-40;
      }
    }
  CHECK(far >= 6);
}

TEST_CASE("with many parallel edges tails are those of the formulas, on both sides of the width that is summed") {
  Random random(8);
  int wide = 0, narrow = 0;
  for (int trial = 0; trial < 100; ++trial) {
    const Stubs k = 2000 + static_cast<Stubs>(random.below(8000)), O = 2000 + static_cast<Stubs>(random.below(14000));
    const Stubs T = O + 2 * (k + static_cast<Stubs>(random.below(20000)));
    const PlainSum hypergeometric(k, O, T - O - k, 1), exact(k, O, (T - 2 * k - O) / 2, 2);
    const double deviation = std::sqrt(
        WideTail(static_cast<double>(k), static_cast<double>(O), static_cast<double>(T - O - k), 1).variance());
    (deviation * deviation > static_cast<double>(widest_sum) ? wide : narrow)++;
    for (int i = -4; i <= 12; ++i) {
      const Stubs x = hypergeometric.peak() + static_cast<Stubs>(i * deviation);
      if (x < 0) continue;
      CAPTURE(x);
      CAPTURE(k);
      CAPTURE(O);
      CAPTURE(T);
      const Tail tail = formulas(x, k, O, T);
      CHECK(tail.at == Approx(hypergeometric.point(x)).epsilon(1e-6));
      const double plain = (formulas.uses_exact(x + 1, k, O, T) ? exact : hypergeometric).tail(x + 1);
      if (plain > 1e-30) CHECK(tail.above == Approx(plain).epsilon(1e-4));
    }
  }
  CHECK(wide > 10);
  CHECK(narrow > 10);
}

TEST_CASE("probabilities of huge numbers of stubs: any two sides of the table may change their places") {
  Random random(9);
  for (int trial = 0; trial < 2000; ++trial) {
    const Stubs T = (Stubs{1} << 44) + static_cast<Stubs>(random.below(1000000)),
                O = T / (2 + static_cast<Stubs>(random.below(1000)));
    const Stubs few = static_cast<Stubs>(random.below(400)),
                x = static_cast<Stubs>(random.below(static_cast<std::uint64_t>(few + 1)));
    const double plain = formulas.hypergeometric(x, few, O, T);  // few enough for the table
    CAPTURE(x);
    CAPTURE(few);
    CAPTURE(O);
    CAPTURE(T);
    if (plain < 1e-90) continue;
    CHECK(formulas.hypergeometric(x, O, few, T) == Approx(plain).epsilon(1e-6));
    CHECK(formulas.hypergeometric(O - x, T - few, O, T) == Approx(plain).epsilon(1e-6));
    CHECK(formulas.hypergeometric(few - x, few, T - O, T) == Approx(plain).epsilon(1e-6));
    CHECK(formulas.hypergeometric(T - O - few + x, T - O, T - few, T) == Approx(plain).epsilon(1e-6));
  }
}

TEST_CASE("a tail of a huge number of stubs costs no more than one of a few") {  // or this would not end
  Random random(10);
  const auto size = [&](double most) { return static_cast<Stubs>(std::exp2(random.uniform() * most)); };
  for (int trial = 0; trial < 100000; ++trial) {
    const Stubs k = size(53), O = size(58), T = O + k + 2 * size(58) + (k & 1);
    const Stubs mean = static_cast<Stubs>(static_cast<double>(k) * static_cast<double>(O) / static_cast<double>(T));
    const Stubs x = random.below(2) ? std::min({k, O, mean + size(30)}) : std::min({k, O, size(53)});
    CAPTURE(x);
    CAPTURE(k);
    CAPTURE(O);
    CAPTURE(T);
    const Tail tail = formulas(x, k, O, T);
    REQUIRE(tail.above >= 0);
    REQUIRE(tail.above <= 1 + 1e-9);
    REQUIRE(tail.at >= 0);
    REQUIRE(tail.at <= 1 + 1e-9);
    REQUIRE(TailFormulas::hypergeometric_floor(x, k, O, T) <= 1);
  }
}

TEST_CASE("huge numbers of stubs neither overflow nor leave the unit interval") {
  const Stubs big = Stubs{1} << 40;
  TailMemo memo(log_factorial);
  for (Stubs x : {Stubs{1}, Stubs{1000}, big / 4}) {
    const Tail tail = memo(x, big / 2, big, 8 * big);
    CHECK(tail.above >= 0);
    CHECK(tail.above <= 1);
    CHECK(tail.at >= 0);
    CHECK(tail.at <= 1);
  }
}

TEST_CASE("where the sums of the exact formula leave their range the hypergeometric tail is taken") {
  const Stubs states[][4] = {{10557, 12579, 16430, 23540}, {3401, 7769, 5418, 14208}, {5807, 14764, 7566, 28780}};
  for (const auto& [x, k, O, T] : states) {
    const Tail tail = formulas(x, k, O, T);
    CHECK(tail.above == formulas.hypergeometric_tail(x + 1, k, O, T, tail.at));
  }
  Random random(3);
  for (int trial = 0; trial < 20000; ++trial) {
    const Stubs T = 2 + static_cast<Stubs>(random.below(30000)), k = 1 + static_cast<Stubs>(random.below(T));
    const Stubs O = T - 2 * static_cast<Stubs>(random.below(T / 2 + 1));
    const Stubs low = std::max<Stubs>(0, -(T - 2 * k - O) / 2), high = std::min(k, O);
    if (low > high) continue;
    const Stubs x = low + static_cast<Stubs>(random.below(high - low + 1));
    CAPTURE(x);
    CAPTURE(k);
    CAPTURE(O);
    CAPTURE(T);
    const Tail tail = formulas(x, k, O, T);
    CHECK(tail.above >= 0);
    CHECK(tail.above <= 1 + 1e-9);
  }
}
