#include <algorithm>
#include <numeric>
#include <vector>

#include "doctest/doctest.h"
#include "random.h"

using namespace oslom;

TEST_CASE("the generator is the published one: splitmix64 and xoshiro256**") {
  std::uint64_t state = 1234567;
  CHECK(splitmix64(state) == 6457827717110365317ULL);
  CHECK(splitmix64(state) == 3203168211198807973ULL);
  CHECK(splitmix64(state) == 9817491932198370423ULL);
}

TEST_CASE("streams are named by their path, not by how much was drawn") {
  Random parent(1);
  const std::uint64_t first = parent.child(Phase::run, 3).bits();
  for (int i = 0; i < 10; ++i) parent.bits();
  CHECK(parent.child(Phase::run, 3).bits() == first);
  CHECK(parent.child(Phase::run, 4).bits() != first);
  CHECK(parent.child(Phase::level, 3).bits() != first);
  CHECK(Random(2).child(Phase::run, 3).bits() != first);
}

TEST_CASE("uniform numbers stay inside the open unit interval and have the right mean") {
  Random random(2);
  double sum = 0, smallest = 1, largest = 0;
  for (int i = 0; i < 100000; ++i) {
    const double u = random.uniform();
    sum += u, smallest = std::min(smallest, u), largest = std::max(largest, u);
  }
  CHECK(smallest > 0);
  CHECK(largest < 1);
  CHECK(sum / 100000 == doctest::Approx(0.5).epsilon(0.01));
}

TEST_CASE("integers below a bound are all met about equally often") {
  Random random(3);
  std::vector<int> count(7, 0);
  for (int i = 0; i < 70000; ++i) ++count[random.below(7)];
  for (int c : count) CHECK(c == doctest::Approx(10000).epsilon(0.05));
}

TEST_CASE("a shuffle keeps all elements and moves them everywhere") {
  Random random(4);
  std::vector<int> first_place(5, 0);
  for (int i = 0; i < 5000; ++i) {
    std::vector<int> values(5);
    std::iota(values.begin(), values.end(), 0);
    random.shuffle(values);
    ++first_place[values[0]];
    std::sort(values.begin(), values.end());
    for (int j = 0; j < 5; ++j) REQUIRE(values[j] == j);
  }
  for (int c : first_place) CHECK(c == doctest::Approx(1000).epsilon(0.15));
}
