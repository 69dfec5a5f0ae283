#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "doctest/doctest.h"
#include "example_graphs.h"
#include "working_set.h"

using namespace oslom;

TEST_CASE("moves keep the working set equal to a recount, and restore undoes them") {
  Random random(13);
  for (bool weighted : {false, true}) {
    Bench bench(random_graph(60, 240, weighted, random));
    WorkingSet& set = bench.study.set;
    for (int trial = 0; trial < 20; ++trial) {
      set.build(range(static_cast<Vertex>(random.below(30)), 45), Reach::everywhere);
      for (int i = 0; i < 5; ++i) {
        const Few best = set.best_border();
        REQUIRE(best.count > 0);
        set.insert(best.slot[random.below(static_cast<std::uint64_t>(best.count))]);
        REQUIRE(set.matches_recount());
      }
      set.save();
      const std::uint64_t fingerprint = set.fingerprint();
      const Stubs size = set.size(), slots = set.num_slots();
      for (int i = 0; i < 3; ++i) set.insert(set.best_border().slot[0]);
      REQUIRE(set.size() == size + 3);
      while (set.size() > 0) {
        const std::vector<Slot>& members = set.members();
        set.remove(members[random.below(members.size())]);
        REQUIRE(set.matches_recount());
        REQUIRE((set.fingerprint() != fingerprint || set.size() == size));
      }
      set.restore();
      REQUIRE(set.matches_recount());
      CHECK(set.size() == size);
      CHECK(set.fingerprint() == fingerprint);
      CHECK(set.num_slots() == slots);
    }
  }
}

TEST_CASE("group totals of a clique in a ring") {
  Bench bench(ring_of_cliques(3, 5));
  bench.study.set.build(range(0, 5), Reach::everywhere);
  const Outside outside = bench.study.set.outside();
  CHECK(outside.outgoing == 2);
  CHECK(outside.total == bench.graph.total_stubs() - 22);
  CHECK(outside.vertices == 10);
  CHECK(outside.border == 2);
}

TEST_CASE("a member that loses its last link leaves with the one that held it") {
  Bench bench(graph_of(6, {{0, 1, 1, 1}, {1, 2, 1, 1}, {0, 2, 1, 1}, {2, 3, 1, 1}, {3, 4, 1, 1}, {4, 5, 1, 1}}));
  bench.study.set.build({0, 1, 2, 4, 5}, Reach::inside);
  bench.study.set.remove(4);  // vertex 5; 4 has no other link to the group
  CHECK(bench.study.set.size() == 3);
}

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
          while (set.size() > 0) {
            const Outside outside = set.outside();
            const double bound = bench.study.scores.key_of(0.1);
            std::set<Slot> seen, expected;
            const Slot slots = reach == Reach::inside ? set.built_size() : set.num_slots();
            set.for_each_key_up_to(bound, outside, [&](Slot slot, double key) {
              seen.insert(slot);
              CHECK(key == set.key(slot, outside));
            });
            for (Slot slot = 0; slot < slots; ++slot)
              if (set.in_border(slot) && set.key(slot, outside) <= bound) expected.insert(slot);
            REQUIRE(seen == expected);
            met += static_cast<int>(seen.size()), skipped += slots - static_cast<int>(seen.size());
            if (!set.saved()) set.save();
            set.remove(set.members()[random.below(set.members().size())]);
          }
          set.restore();
        }
      }
    }
  CHECK(met > 1000);
  CHECK(skipped > 10000);
}

TEST_CASE("slots in blocks show the same members and outsiders as all slots do") {
  Random random(15);
  int met = 0;
  for (bool weighted : {false, true})
    for (Reach reach : {Reach::everywhere, Reach::inside}) {
      Bench bench(random_graph(300, 900, weighted, random));
      WorkingSet plain(bench.graph, bench.study.scores, 1000), blocks(bench.graph, bench.study.scores, 1);
      const double bound = bench.study.scores.key_of(0.1);
      for (int trial = 0; trial < 6; ++trial) {
        const Members group = range(0, static_cast<Vertex>(20 + random.below(100)));
        const std::uint64_t order = random.bits();
        for (WorkingSet* set : {&plain, &blocks}) set->build(group, reach, order);
        for (int pass = 0; pass < 2; ++pass) {
          while (plain.size() > 0) {
            const Few all = plain.worst_members(), few = blocks.worst_members();
            REQUIRE(few.count == all.count);
            for (int i = 0; i < all.count; ++i) REQUIRE((few.slot[i] == all.slot[i] && few.values[i] == all.values[i]));
            std::vector<Slot> expected, seen;
            plain.for_each_key_up_to(bound, plain.outside(), [&](Slot slot, double) { expected.push_back(slot); });
            blocks.for_each_key_up_to(bound, blocks.outside(), [&](Slot slot, double) { seen.push_back(slot); });
            REQUIRE(seen == expected);
            met += static_cast<int>(seen.size());
            if (!plain.saved()) plain.save(), blocks.save();
            const Slot gone = random.below(2) ? all.slot[0] : plain.members()[random.below(plain.members().size())];
            for (WorkingSet* set : {&plain, &blocks}) set->remove(gone);
          }
          for (WorkingSet* set : {&plain, &blocks}) set->restore();
          const Slot joins = reach == Reach::everywhere ? plain.best_border().slot[0] : -1;
          if (joins >= 0) plain.insert(joins), blocks.insert(joins);
        }
      }
    }
  CHECK(met > 1000);
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
      std::vector<double> old(static_cast<std::size_t>(set.num_slots()));
      for (Slot slot = 0; slot < set.num_slots(); ++slot) old[slot] = set.key(slot, set.outside());
      for (int i = 0; i < 20; ++i) {
        const Slot gone = set.members()[random.below(set.members().size())];
        set.remove(gone);
        REQUIRE(set.size() == 59 - i);  // no other member went with it
        const Outside outside = set.outside();
        for (Slot slot = 0; slot < set.num_slots(); ++slot)
          if (slot == gone || linked(bench.graph, set.vertex(slot), set.vertex(gone)))
            old[slot] = set.key(slot, outside);
        const double limit = bench.study.scores.key_of(0.3);
        std::vector<double> missed;
        for (Slot slot = 0; slot < set.num_slots(); ++slot)
          if (set.in_border(slot) && set.key(slot, outside) > limit) missed.push_back(old[slot]);
        std::sort(missed.begin(), missed.end());
        misses += static_cast<int>(missed.size());
        CHECK(set.nth_miss<1>(limit, 2, outside) == doctest::Approx(missed[0]));
        CHECK(set.nth_miss<6>(limit, 2, outside) == doctest::Approx(missed.size() < 6 ? 2 : missed[5]));
        CHECK(set.nth_miss<1>(limit, missed[0] / 2, outside) == missed[0] / 2);
        for (Slot slot = 0; slot < set.num_slots(); ++slot)
          if (set.in_border(slot)) {
            CHECK(set.old_key(slot) == doctest::Approx(old[slot]));
            old_ones += old[slot] != set.key(slot, outside);
          }
      }
    }
  CHECK(misses > 1000);
  CHECK(old_ones > 1000);
}

TEST_CASE("the worst members are those with the largest keys, computed or bounded") {
  Random random(15);
  for (bool weighted : {false, true}) {
    Bench bench(random_graph(100, 600, weighted, random));
    WorkingSet& set = bench.study.set;
    set.build(range(10, 60), Reach::everywhere);
    const Outside outside = set.outside();
    const Few few = set.worst_members();
    std::vector<double> keys;
    for (Slot slot : set.members()) {
      Links links;
      const Vertex v = set.vertex(slot);
      for (auto link = bench.graph.first_link(v); link < bench.graph.end_link(v); ++link)
        if (bench.graph.target(link) >= 10 && bench.graph.target(link) < 60) links += bench.graph.links_of_source(link);
      const Scores& scores = bench.study.scores;
      const Degree k = bench.graph.degree(v);
      keys.push_back(scores.member_key(links, k, scores.weight_part(links), outside));
      CHECK(std::exp(-Scores::MemberFall(scores, outside)(links, k)) * scores.weight_part(links) * (1 + 1e-12) >=
            keys.back());
    }
    std::sort(keys.rbegin(), keys.rend());
    REQUIRE(few.count == 5);
    for (int i = 0; i < 5; ++i) CHECK(-few.values[i] == doctest::Approx(keys[i]));
  }
}

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

// The dull twin of best_border().
Few nearest_by_scan(WorkingSet& set, std::uint64_t order) {
  Few few(order);
  for (Slot slot = 0; slot < set.num_slots(); ++slot)
    if (set.in_border(slot)) few.offer(slot, set.old_key(slot));
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
      set.best_border();
      set.save();
      for (int pass = 0; pass < 3; ++pass, set.restore())
        for (int move = 0; move < 60; ++move) {
          const Few few = set.best_border();
          REQUIRE(few.slot == nearest_by_scan(set, order).slot);
          if (random.below(4) > 0) set.insert(few.slot[random.below(5)]);
          else set.remove(set.members()[random.below(set.members().size())]);
        }
    }
  }
}

TEST_CASE("edges that are all single take no memory for multiplicities, and look the same") {
  const Graph single = graph_of(3, {{0, 1, 1, 1}, {1, 2, 1, 1}}), parallel = graph_of(3, {{0, 1, 2, 1}, {1, 2, 1, 1}});
  CHECK(single.multiplicity(0) == 1);
  CHECK(parallel.multiplicity(0) == 2);
  CHECK(parallel.multiplicity(parallel.end_link(2) - 1) == 1);
  CHECK(parallel.total_stubs() == 6);
}
