#include <cmath>
#include <limits>

#include "doctest/doctest.h"
#include "order_statistics.h"
#include "random.h"
#include "tables.h"

using namespace oslom;
using doctest::Approx;

namespace {

double plain_at_least(Count n, Count q, double s) {
  double sum = 0;
  for (Count j = q; j <= n; ++j) sum += std::exp(binomial.log_mass(n, j, s));
  return sum;
}

}  // namespace

TEST_CASE("order statistics: vectors") {
  CHECK(binomial.at_least(900, 1, 1e-4) == Approx(0.086072883));
  CHECK(binomial.at_least(900, 3, 1e-3) == Approx(0.062765832));
  CHECK(binomial.at_least(50, 2, 0.01) == Approx(0.089434628));
  CHECK(binomial.at_least(5, 0, 0.3) == 1);
  CHECK(binomial.at_least(5, 6, 0.3) == 0);
  CHECK(binomial.at_least(5, 2, 1.0) == 1);
}

TEST_CASE("order statistics equal direct sums") {
  Random random(7);
  for (int trial = 0; trial < 2000; ++trial) {
    const Count n = 1 + static_cast<Count>(random.below(200)),
                q = 1 + static_cast<Count>(random.below(static_cast<std::uint64_t>(n)));
    const double s = std::pow(random.uniform(), 3);
    CAPTURE(n);
    CAPTURE(q);
    CAPTURE(s);
    CHECK(binomial.at_least(n, q, s) == Approx(plain_at_least(n, q, s)).epsilon(1e-9));
  }
}

TEST_CASE("the fitted distribution of the minimum: vectors") {
  const double lambdas[] = {1, 2.1922693, 5.4893307, 8.830206, 20.070058};
  const double criticals[] = {0.10536052, 0.048060025, 0.019193691, 0.01193183, 0.0052496368};
  const Count sizes[] = {1, 5, 20, 60, 900};
  for (int i = 0; i < 5; ++i) {
    CHECK(border_lambda(sizes[i]) == Approx(lambdas[i]));
    CHECK(critical_value(sizes[i], 0.1) == Approx(criticals[i]));
    CHECK(border_probability(sizes[i], criticals[i]) == Approx(0.1));
  }
}

TEST_CASE("a score is below the critical one exactly when its order statistic is below xi") {
  Random random(8);
  int significant = 0, insignificant = 0;
  for (double tolerance : {0.01, 0.1, 0.5, 0.9})
    for (Count n : {1, 3, 9, 40, 300, 1000}) {
      CriticalScores critical(n, tolerance, binomial);
      for (int trial = 0; trial < 300; ++trial) {
        const Count q = 1 + static_cast<Count>(random.below(static_cast<std::uint64_t>(std::min<Count>(n, 50))));
        const double s = static_cast<double>(q) / static_cast<double>(n) * random.uniform();
        const double omega = binomial.at_least(n, q, s);
        if (std::fabs(omega / critical.xi() - 1) < 1e-9) continue;
        CAPTURE(n);
        CAPTURE(q);
        CAPTURE(s);
        CAPTURE(tolerance);
        CHECK(critical.significant(q, s) == (omega < critical.xi()));
        ++(omega < critical.xi() ? significant : insignificant);
      }
    }
  CHECK(significant > 500);
  CHECK(insignificant > 500);
}

TEST_CASE("critical scores at the ends of the tolerance and of the ranks") {
  CriticalScores never(50, 0, binomial), always(50, 1, binomial), some(50, 0.1, binomial);
  CHECK_FALSE(never.significant(1, 1e-90));
  CHECK(always.significant(1, 0.99));
  CHECK(some.critical(51) == std::numeric_limits<double>::infinity());
  for (Count q = 2; q <= 50; ++q) CHECK(some.critical(q) > some.critical(q - 1));
}
