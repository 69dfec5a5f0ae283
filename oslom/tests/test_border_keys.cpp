#include <algorithm>
#include <set>
#include <vector>

#include "doctest/doctest.h"
#include "example_graphs.h"
#include "working_set.h"

using namespace oslom;

TEST_CASE("what is looked at again is all that the whole border shows, while members leave and after a restore") {
  Random random(14);
  int met = 0, skipped = 0;
  for (bool weighted : {false, true})
    for (Reach reach : {Reach::everywhere, Reach::inside}) {
      Bench bench(random_graph(300, 1500, weighted, random));
      WorkingSet& set = bench.study.set;
      for (int trial = 0; trial < 6; ++trial) {
        const Slot end = static_cast<Slot>(20 + random.below(30));
        set.build(range(0, end), reach);
        for (int pass = 0; pass < 2; ++pass) {
          while (set.group().size() > 0) {
            const Outside outside = set.group().outside();
            const double bound = bench.study.scores.key_of(0.1);
            std::set<Slot> seen, expected;
            const Slot slots = reach == Reach::inside ? set.group().built_size() : set.group().num_slots();
            set.border_keys().for_each_up_to(bound, outside, [&](Slot slot, double key) {
              seen.insert(slot);
              CHECK(key == set.border_keys().key(slot, outside));
            });
            for (Slot slot = 0; slot < slots; ++slot)
              if (set.group().in_border(slot) && set.border_keys().key(slot, outside) <= bound) expected.insert(slot);
            REQUIRE(seen == expected);
            met += static_cast<int>(seen.size()), skipped += slots - static_cast<int>(seen.size());
            if (!set.saved()) set.save();
            set.remove(set.group().members()[random.below(set.group().members().size())]);
          }
          set.restore();
        }
      }
    }
  CHECK(met > 1000);
  CHECK(skipped > 10000);
}

bool linked(const Graph& graph, Vertex a, Vertex b) {
  for (auto link = graph.first_link(a); link < graph.end_link(a); ++link)
    if (graph.target(link) == b) return true;
  return false;
}

TEST_CASE(
    "an old key is the key at the last change of the links; the n-th miss is the n-th smallest of those that miss "
    "now") {
  Random random(16);
  int misses = 0, old_ones = 0;
  for (bool weighted : {false, true})
    for (Reach reach : {Reach::everywhere, Reach::inside}) {
      Bench bench(random_graph(120, 2400, weighted, random));
      WorkingSet& set = bench.study.set;
      set.build(range(0, 60), reach);
      std::vector<double> old(static_cast<std::size_t>(set.group().num_slots()));
      for (Slot slot = 0; slot < set.group().num_slots(); ++slot)
        old[slot] = set.border_keys().key(slot, set.group().outside());
      for (int i = 0; i < 20; ++i) {
        const Slot gone = set.group().members()[random.below(set.group().members().size())];
        set.remove(gone);
        REQUIRE(set.group().size() == 59 - i);  // no other member went with it
        const Outside outside = set.group().outside();
        for (Slot slot = 0; slot < set.group().num_slots(); ++slot)
          if (slot == gone || linked(bench.graph, set.group().vertex(slot), set.group().vertex(gone)))
            old[slot] = set.border_keys().key(slot, outside);
        const double limit = bench.study.scores.key_of(0.3);
        std::vector<double> missed;
        for (Slot slot = 0; slot < set.group().num_slots(); ++slot)
          if (set.group().in_border(slot) && set.border_keys().key(slot, outside) > limit) missed.push_back(old[slot]);
        std::sort(missed.begin(), missed.end());
        misses += static_cast<int>(missed.size());
        CHECK(set.border_keys().nth_miss<1>(limit, 2, outside) == doctest::Approx(missed[0]));
        CHECK(set.border_keys().nth_miss<6>(limit, 2, outside) == doctest::Approx(missed.size() < 6 ? 2 : missed[5]));
        CHECK(set.border_keys().nth_miss<1>(limit, missed[0] / 2, outside) == missed[0] / 2);
        for (Slot slot = 0; slot < set.group().num_slots(); ++slot)
          if (set.group().in_border(slot)) {
            CHECK(set.border_keys().old_key(slot) == doctest::Approx(old[slot]));
            old_ones += old[slot] != set.border_keys().key(slot, outside);
          }
      }
    }
  CHECK(misses > 1000);
  CHECK(old_ones > 1000);
}

// The dull twin of nearest().
Few nearest_by_scan(WorkingSet& set, std::uint64_t order) {
  Few few(order);
  for (Slot slot = 0; slot < set.group().num_slots(); ++slot)
    if (set.group().in_border(slot)) few.offer(slot, set.border_keys().old_key(slot));
  return few;
}

TEST_CASE("the nearest of the border are those of the whole border, while members join and leave and after a restore") {
  Random random(17);
  for (bool weighted : {false, true}) {
    Bench bench(random_graph(400, 3000, weighted, random));
    WorkingSet& set = bench.study.set;
    for (int trial = 0; trial < 4; ++trial) {
      const std::uint64_t order = random.bits();
      set.build(range(static_cast<Vertex>(90 * trial), static_cast<Vertex>(90 * trial + 20)), Reach::everywhere, order);
      set.border_keys().nearest();
      set.save();
      for (int pass = 0; pass < 3; ++pass, set.restore())
        for (int move = 0; move < 60; ++move) {
          const Few few = set.border_keys().nearest();
          REQUIRE(few.slot == nearest_by_scan(set, order).slot);
          if (random.below(4) > 0) set.insert(few.slot[random.below(5)]);
          else set.remove(set.group().members()[random.below(set.group().members().size())]);
        }
    }
  }
}
