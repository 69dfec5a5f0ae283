#include <algorithm>
#include <cmath>
#include <vector>

#include "border_test.h"
#include "doctest/doctest.h"
#include "random.h"
#include "tables.h"

using namespace oslom;
using doctest::Approx;

namespace {

// The dull twin: METHOD.md 4.3 and METHOD.md 4.4 read line by line, with order statistics and bisection.
struct PlainTest {
  std::vector<Candidate> candidates;
  Count n;
  double tolerance;
  double xi = critical_value(n, tolerance);
  int last = -1;
  double c = 1;

  double omega(Count q, double s) const { return binomial.at_least(n, q, s); }

  double inverse(Count q, double low, double high) const {
    for (int i = 0; i < 200; ++i) {
      const double middle = (low + high) / 2;
      (omega(q, middle) < xi ? low : high) = middle;
    }
    return (low + high) / 2;
  }

  bool ties() const {
    const double a = candidates[last].low(), b = candidates[last].high();
    int i1 = -1, i2 = -1;
    double A = 0, B = 0;
    for (int i = 0; i <= last; ++i)
      if (overtaking(a, b, candidates[i].low(), candidates[i].high()) > 0.33) {
        if (i1 < 0) i1 = i;
        i2 = i;
        A += candidates[i].low();
        B += candidates[i].high();
      }
    const int E = i1 < 0 ? 1 : i2 - i1 + 1;
    if (E == 1) return true;
    A /= E;
    B /= E;
    double previous = A;
    for (int e = 1; e <= E; ++e)
      if (omega(i1 + e, previous) <= xi) {
        if (omega(i1 + e, B) <= xi) return true;
        const double critical = inverse(i1 + e, previous, B);
        if (binomial.at_least(E, e, (critical - A) / (B - A)) > 0.5) return true;
        previous = critical;
      }
    return false;
  }

  BorderVerdict run() {
    bool stopped = false;
    for (int i = 0; i < static_cast<int>(candidates.size()) && !stopped; ++i) {
      const Candidate& candidate = candidates[i];
      const double ci = omega(i + 1, candidate.score);
      c = std::min(c, ci);
      if (ci >= xi) {
        if (last < 0) continue;
        if (ties()) stopped = true;
        else last = -1;
        continue;
      }
      if (last >= 0) {
        const double a = candidates[last].low(), b = candidates[last].high();
        const double po = overtaking(a, b, candidate.low(), candidate.high());
        if (po <= 0.4999) {
          const double ps = omega(i, b) <= xi ? 1 : (inverse(i, (a + b) / 2, b) - a) / (b - a);
          if (po == 0 || (1 - po) * ps > 0.5001) {
            if (ties()) stopped = true;
            else last = -1;
          }
        }
      }
      if (!stopped) last = i, c = ci;
    }
    if (!stopped && last >= 0 && !ties()) last = -1;
    return {static_cast<std::size_t>(last + 1), border_probability(n, c)};
  }
};

std::vector<Candidate> random_candidates(Random& random, Count n) {
  std::vector<Candidate> candidates;
  const std::size_t count = random.below(25);
  while (candidates.size() < count) {
    const double score = std::pow(random.uniform(), 1 + 2 * random.uniform()) * 12 / static_cast<double>(n);
    const double half = random.uniform() < 0.2 ? 0 : score * random.uniform();
    const std::size_t copies = random.uniform() < 0.3 ? 1 + random.below(6) : 1;
    for (std::size_t i = 0; i < copies; ++i)
      candidates.push_back({std::min(0.99, score * (1 + 1e-7 * random.uniform())), std::min(half, 0.005), 0});
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.score < b.score; });
  return candidates;
}

}  // namespace

TEST_CASE("overtaking: vectors and intervals of length zero") {
  CHECK(overtaking(.1, .3, .2, .5) == Approx(0.083333333));
  CHECK(overtaking(.1, .5, .2, .3) == Approx(0.625));
  CHECK(overtaking(.2, .5, .1, .3) == Approx(0.91666667));
  CHECK(overtaking(.2, .2, .2, .2) == 0.5);
  CHECK(overtaking(.2, .2, .2, .3) == 0);
  CHECK(overtaking(.1, .2, .3, .4) == 0);
  CHECK(overtaking(.3, .4, .1, .2) == 1);
}

TEST_CASE("the border test decides as the rules read line by line") {
  Random random(9);
  int accepted = 0, rejected = 0, seen_early = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    const Count n = 25 * (1 + static_cast<Count>(random.below(20)) * static_cast<Count>(random.below(3))) + 200;
    const double tolerance = trial % 3 == 0 ? 0.5 : 0.1;
    const std::vector<Candidate> candidates = random_candidates(random, n);
    CriticalScores critical(n, tolerance, binomial);
    const BorderVerdict clever = BorderTest(candidates, critical, binomial).run();
    const BorderVerdict plain = PlainTest{candidates, n, tolerance}.run();
    CAPTURE(trial);
    REQUIRE(clever.accepted == plain.accepted);
    if (plain.accepted > 0) REQUIRE(clever.probability == Approx(plain.probability));
    ++(plain.accepted > 0 ? accepted : rejected);
    std::vector<Candidate> unsorted = candidates;
    random.shuffle(unsorted);
    const bool significant = any_significant(candidates, critical);
    if (plain.accepted > 0) REQUIRE(significant);
    if (significant) REQUIRE(may_accept(unsorted, critical));
    seen_early += !may_accept(unsorted, critical);
  }
  CHECK(seen_early > 1000);
  CHECK(accepted > 2000);
  CHECK(rejected > 2000);
}

TEST_CASE("one excellent candidate is accepted, mediocre ones are not") {
  CriticalScores critical(500, 0.1, binomial);
  const std::vector<Candidate> excellent{{1e-7, 1e-8, 0}, {0.01, 0.001, 1}},
      mediocre{{0.01, 0.001, 0}, {0.02, 0.001, 1}};
  CHECK(BorderTest(excellent, critical, binomial).run().accepted == 1);
  CHECK(BorderTest(mediocre, critical, binomial).run().accepted == 0);
  CHECK(BorderTest({}, critical, binomial).run().accepted == 0);
}
