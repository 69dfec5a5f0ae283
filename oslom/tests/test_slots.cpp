#include <algorithm>
#include <array>

#include "doctest/doctest.h"
#include "random.h"
#include "slots.h"

using namespace oslom;

TEST_CASE("the few best of a scan, best first, whatever the order of the scan") {
  const double values[] = {0.5, 0.1, 0.9, 0.1, 0.3, 0.8, 0.2, 0.5};
  Few forwards, backwards;
  for (Slot slot = 0; slot < 8; ++slot) forwards.offer(slot, values[slot]);
  for (Slot slot = 8; slot-- > 0;) backwards.offer(slot, values[slot]);
  for (const Few& few : {forwards, backwards}) {
    REQUIRE(few.count == 5);
    CHECK(few.slot == std::array<Slot, 5>{1, 3, 6, 4, 0});
    CHECK(few.refuses(1, 0.6));
    CHECK(few.refuses(7, 0.5));
    CHECK_FALSE(few.refuses(7, 0.4));
  }
}

TEST_CASE("which of equals comes first is one of many orders, and every one of them can") {
  std::array<int, 4> first{};
  Random random(18);
  for (int trial = 0; trial < 400; ++trial) {
    const std::uint64_t order = random.bits();
    Few forwards(order), backwards(order);
    for (Slot slot = 0; slot < 4; ++slot) forwards.offer(slot, 0.5), backwards.offer(3 - slot, 0.5);
    REQUIRE(std::equal(forwards.slot.begin(), forwards.slot.begin() + 4, backwards.slot.begin()));
    ++first[static_cast<std::size_t>(forwards.slot[0])];
  }
  for (int count : first) CHECK(count > 60);
}

TEST_CASE("blocks of about the square root of all slots, where there are many; more slots, more blocks") {
  Blocks<int> blocks;
  blocks.begin(99, 100);
  CHECK(blocks.none());
  blocks.grow(200);
  CHECK(blocks.none());
  blocks.begin(100, 100);
  REQUIRE(blocks.count() == 7);
  CHECK(blocks.first(1) == 16);
  for (Slot slot = 0; slot < 100; ++slot) {
    const std::size_t block = blocks.number(slot);
    CHECK((blocks.first(block) <= slot && slot < blocks.first(block + 1)));
  }
  blocks.of(99) = 5;
  blocks.grow(112);
  CHECK(blocks.count() == 7);
  blocks.grow(113);
  REQUIRE(blocks.count() == 8);
  CHECK(blocks[6] == 5);
}
