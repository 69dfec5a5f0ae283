#include <vector>

#include "doctest/doctest.h"
#include "example_graphs.h"
#include "working_set.h"

using namespace oslom;

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
          while (plain.group().size() > 0) {
            const Few all = plain.member_keys().worst(), few = blocks.member_keys().worst();
            REQUIRE(few.count == all.count);
            for (int i = 0; i < all.count; ++i) REQUIRE((few.slot[i] == all.slot[i] && few.values[i] == all.values[i]));
            std::vector<Slot> expected, seen;
            plain.border_keys().for_each_up_to(bound, plain.group().outside(),
                                               [&](Slot slot, double) { expected.push_back(slot); });
            blocks.border_keys().for_each_up_to(bound, blocks.group().outside(),
                                                [&](Slot slot, double) { seen.push_back(slot); });
            REQUIRE(seen == expected);
            met += static_cast<int>(seen.size());
            if (!plain.saved()) plain.save(), blocks.save();
            const Slot gone =
                random.below(2) ? all.slot[0] : plain.group().members()[random.below(plain.group().members().size())];
            for (WorkingSet* set : {&plain, &blocks}) set->remove(gone);
          }
          for (WorkingSet* set : {&plain, &blocks}) set->restore();
          const Slot joins = reach == Reach::everywhere ? plain.border_keys().nearest().slot[0] : -1;
          if (joins >= 0) plain.insert(joins), blocks.insert(joins);
        }
      }
    }
  CHECK(met > 1000);
}
