#include <cmath>
#include <vector>

#include "doctest/doctest.h"
#include "scores.h"
#include "tables.h"

using namespace oslom;
using doctest::Approx;

namespace {

// A vertex with few of its links to a group.
struct State {
  Outside outside;
  Stubs k;
  Links links;
};

State random_state(Random& random, bool weighted) {
  const Stubs total = 1000 + static_cast<Stubs>(random.below(100000));
  const Outside outside{1 + static_cast<Stubs>(random.below(static_cast<std::uint64_t>(total / 4))), total, 900,
                        static_cast<Stubs>(random.below(900))};
  const Stubs k = 1 + static_cast<Stubs>(random.below(400)),
              x = 1 + static_cast<Stubs>(random.below(static_cast<std::uint64_t>(std::min<Stubs>(k, 12))));
  return {outside, k, {x, weighted ? 2 * random.uniform() * static_cast<double>(x) : 0}};
}

}  // namespace

TEST_CASE("tails of exponential sums: vectors") {
  CHECK(weight_tail(2, 3) == Approx(0.67667642));
  CHECK(weight_tail(12, 6) == Approx(0.020341029));
  CHECK(weight_tail(5, 15) == Approx(0.99508836));
  CHECK(weight_tail(30, 15) == Approx(5.3755588e-05));
  CHECK(weight_tail(0, 0) == 1);
  CHECK(weight_tail(1e6, 3) == smallest_score);
}

TEST_CASE("weighted mid scores: vectors") {
  Tails tails(log_factorial);
  const Scores scores(true, tails);
  const Outside outside{50, 3000, 900, 60};
  CHECK(scores.mid({4, 9.0}, 10, outside) == Approx(2.9933903e-05).epsilon(1e-5));
  CHECK(scores.mid({4, 2.0}, 10, outside) == Approx(8.9078156e-04).epsilon(1e-5));
}

TEST_CASE("the test interval is centred on the mid score") {
  Tails tails(log_factorial);
  Random random(4);
  for (bool weighted : {false, true}) {
    const Scores scores(weighted, tails);
    for (Stubs x = 1; x <= 8; ++x) {
      const Outside outside{60, 2000, 800, 120};
      const Links links{x, weighted ? 1.5 * static_cast<double>(x) : 0};
      const ScoreInterval interval = scores.test(links, 10, scores.weight_part(links), outside, random);
      CHECK(interval.score == Approx(scores.mid(links, 10, outside)).epsilon(1e-5));
      CHECK(interval.half >= 0);
      CHECK(interval.score - interval.half >= 0);
      CHECK(interval.score + interval.half <= 1);
    }
  }
}

TEST_CASE("unweighted: the test interval spans R(x+1) to R(x)") {
  Tails tails(log_factorial);
  const Scores scores(false, tails);
  Random random(5);
  const Tail tail = tails.memo(3, 10, 60, 2000);
  const ScoreInterval interval = scores.test({3, 0}, 10, 1, {60, 2000, 800, 120}, random);
  CHECK(interval.score - interval.half == Approx(tail.above));
  CHECK(interval.score + interval.half == Approx(tail.above + tail.at));
}

TEST_CASE("a member is scored as if it were taken out") {
  Tails tails(log_factorial);
  const Scores scores(true, tails);
  const Outside outside{60, 2000, 800, 120}, without{60 + 2 * 6 - 10, 2010, 801, 121};
  CHECK(scores.member_mid({6, 7.5}, 10, outside) == Approx(scores.mid({6, 7.5}, 10, without)).epsilon(1e-4));
}

TEST_CASE("keys order vertices as mid scores do, and key_of translates") {
  Tails tails(log_factorial);
  Random random(6);
  for (bool weighted : {false, true}) {
    const Scores scores(weighted, tails);
    const Outside outside{80, 3000, 900, 150};
    for (int trial = 0; trial < 500; ++trial) {
      const Stubs k = 2 + static_cast<Stubs>(random.below(30)),
                  x = 1 + static_cast<Stubs>(random.below(static_cast<std::uint64_t>(k)));
      const Links links{x, weighted ? 2 * random.uniform() * static_cast<double>(x) : 0};
      const double key = scores.key(links, k, scores.weight_part(links), outside),
                   score = scores.mid(links, k, outside);
      if (score > 1e-90) CHECK(scores.key_of(score) == Approx(key).epsilon(1e-3));
    }
  }
}

TEST_CASE("no key is below its floor, and floors are of use where few links are expected") {
  Tails tails(log_factorial);
  Random random(7);
  int useful = 0;
  for (bool weighted : {false, true}) {
    const Scores scores(weighted, tails);
    for (int trial = 0; trial < 20000; ++trial) {
      const auto [outside, k, links] = random_state(random, weighted);
      const double w = scores.weight_part(links), floor = scores.key_floor(links, k, w, outside);
      const double key = scores.single_key(links, k, w, outside);
      REQUIRE(floor > 0);
      REQUIRE(floor <= std::max(key, smallest_score));
      CHECK(scores.key(links, k, w, outside) == Approx(key).epsilon(1e-4));
      useful += links.x == 2 && floor > 0.3 * key;
    }
  }
  CHECK(useful > 500);
}

TEST_CASE("a bound spares label keys that are above it, and changes none that is not") {
  Tails tails(log_factorial);
  Random random(8);
  int spared = 0;
  for (bool weighted : {false, true}) {
    const Scores scores(weighted, tails);
    for (int trial = 0; trial < 20000; ++trial) {
      const auto [group, k, links] = random_state(random, weighted);
      const bool own = random.below(2) == 1 && group.outgoing + 2 * links.x > k;
      const double bound = std::exp(-12 * random.uniform());
      Random bounded_draws = random, draws = random;
      const double bounded = scores.label_key(links, k, group, own, bound, bounded_draws);
      const double key = scores.label_key(links, k, group, own, 2, draws);
      REQUIRE((key > bound ? bounded > bound : bounded == key));
      spared += links.x == 2 && bounded == 2;
    }
  }
  CHECK(spared > 500);
}

TEST_CASE("homeless scores are not conditioned on the border") {
  Tails tails(log_factorial);
  const Scores plain(false, tails), weighted(true, tails);
  const Outside outside{60, 2000, 800, 0};
  const double r = plain.homeless({3, 0}, 10, outside);
  CHECK(r == Approx(tails.memo(3, 10, 60, 2000).above + tails.memo(3, 10, 60, 2000).at / 2));
  CHECK(weighted.homeless({3, 0.1}, 10, outside) == Approx(r));
  CHECK(weighted.homeless({3, 30}, 10, outside) == Approx(weight_tail(30, 3)));
}
