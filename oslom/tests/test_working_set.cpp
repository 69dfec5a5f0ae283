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
      set.build(range(static_cast<Vertex>(random.below(30)), 45));
      for (int i = 0; i < 5; ++i) {
        const Few best = set.best_border(-1, 5);
        REQUIRE(best.count > 0);
        set.insert(best.slot[random.below(static_cast<std::uint64_t>(best.count))]);
        REQUIRE(set.matches_recount());
      }
      set.save();
      const std::uint64_t fingerprint = set.fingerprint();
      const Stubs size = set.size();
      while (set.size() > 0) {
        const std::vector<Slot>& members = set.members();
        set.remove(members[random.below(members.size())]);
        REQUIRE(set.matches_recount());
        REQUIRE(set.fingerprint() != fingerprint);
      }
      set.restore();
      REQUIRE(set.matches_recount());
      CHECK(set.size() == size);
      CHECK(set.fingerprint() == fingerprint);
    }
  }
}

TEST_CASE("group totals of a clique in a ring") {
  Bench bench(ring_of_cliques(3, 5));
  bench.study.set.build(range(0, 5));
  const Outside outside = bench.study.set.outside();
  CHECK(outside.outgoing == 2);
  CHECK(outside.total == bench.graph.total_stubs() - 22);
  CHECK(outside.vertices == 10);
  CHECK(outside.border == 2);
}

TEST_CASE("a member that loses its last link leaves with the one that held it") {
  Bench bench(graph_of(6, {{0, 1, 1, 1}, {1, 2, 1, 1}, {0, 2, 1, 1}, {2, 3, 1, 1}, {3, 4, 1, 1}, {4, 5, 1, 1}}));
  bench.study.set.build({0, 1, 2, 4, 5});
  bench.study.set.remove(4);  // vertex 5; 4 has no other link to the group
  CHECK(bench.study.set.size() == 3);
}

TEST_CASE("the few best of a scan, best first") {
  Few few(3);
  int slot = 0;
  for (double score : {0.5, 0.1, 0.9, 0.1, 0.3}) few.offer_small(slot++, score);
  REQUIRE(few.count == 3);
  CHECK(few.slot[0] == 1);
  CHECK(few.slot[1] == 3);
  CHECK(few.slot[2] == 4);
}
