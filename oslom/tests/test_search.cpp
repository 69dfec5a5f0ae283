#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <set>

#include "doctest/doctest.h"
#include "error.h"
#include "example_graphs.h"
#include "search.h"

using namespace oslom;

namespace {

LevelPlan plan_of(std::int64_t runs, bool keep_homeless) {
  LevelPlan plan;
  plan.runs = runs;
  plan.keep_homeless = keep_homeless;
  return plan;
}

LevelResult search(Bench& bench, std::uint64_t seed, std::int64_t runs = 3, bool keep_homeless = true) {
  Team team(bench.graph, bench.parameters, bench.log_factorial, 1);
  return search_level(team, plan_of(runs, keep_homeless), Random(seed).child(Phase::level));
}

std::size_t modules_of_two_or_more(const Modules& modules) {
  return static_cast<std::size_t>(
      std::count_if(modules.begin(), modules.end(), [](const Module& m) { return m.size() > 1; }));
}

std::set<Members> member_sets(const Modules& modules) {
  std::set<Members> sets;
  for (const Module& module : modules) sets.insert(module.members);
  return sets;
}

// Two planted groups of ten in a sparse graph of sixty.
Graph planted(bool weighted) {
  Random random(14);
  std::vector<Edge> edges;
  for (Vertex a = 0; a < 60; ++a)
    for (Vertex b = a + 1; b < 60; ++b) {
      const bool together = b < 10 || (a >= 10 && b < 20);
      if (random.uniform() < (together ? 0.8 : 0.05)) edges.push_back({a, b, 1, together ? 2.0 : 1.0});
    }
  return graph_of(60, edges, weighted);
}

}  // namespace

TEST_CASE("a table of failed states knows what was added last") {
  FailedStates states(100);
  CHECK_FALSE(states.contains(5));
  states.add(5);
  CHECK(states.contains(5));
  CHECK_FALSE(states.contains(5 + 128));
  states.add(5 + 128);  // in the same place
  CHECK(states.contains(5 + 128));
  CHECK_FALSE(states.contains(5));
}

// The dull twin of deciding early: the chance that a group is given up, or taken, and all its passes would have decided
// otherwise.
TEST_CASE("passes that agree hardly ever decide otherwise than all would, whatever the chance of a pass") {
  const LogFactorial log_factorial(100);
  const Binomial binomial(log_factorial);
  for (std::size_t size : {100, 1001, 10001, 100001}) {
    const Effort effort = affordable(full_effort, size);
    CHECK(effort.good == static_cast<int>(std::ceil(0.55 * effort.passes)));
    int fruitless = 0, fruitful = 0;
    while (worth_another(0, fruitless, effort)) ++fruitless;
    while (fruitful < effort.good && !all_good(fruitful, fruitful)) ++fruitful;
    double lost = 0, taken = 0;
    for (double chance = 0.001; chance < 1; chance += 0.001) {
      lost = std::max(
          lost, std::pow(1 - chance, fruitless) * binomial.at_least(effort.passes - fruitless, effort.good, chance));
      const double enough = binomial.at_least(effort.passes - fruitful, effort.good - fruitful, chance);
      taken = std::max(taken, std::pow(chance, fruitful) * (1 - enough));
    }
    CHECK(lost < 0.01);
    CHECK(taken < 0.004);
    CHECK(worth_another(1, fruitless, effort) == (effort.passes - fruitless + 1 >= effort.good));
    CHECK_FALSE(all_good(fruitful, fruitful + 1));
  }
}

// The groups that inflation lets through in one of five attempts, beside those of two good passes of three.
TEST_CASE("a first pass that ends an attempt changes little of what inflation finds") {
  for (double chance = 0.001; chance < 1; chance += 0.001) {
    const double before = chance * chance * (3 - 2 * chance), now = chance * (1 - std::pow(1 - chance, 3));
    const double found_before = 1 - std::pow(1 - before, 5), found_now = 1 - std::pow(1 - now, 5);
    CHECK(found_now <= found_before + 1e-12);
    CHECK(found_now > found_before - 0.05);
  }
  CHECK_FALSE(worth_another(0, 1, inflation_effort));
  CHECK(worth_another(1, 3, inflation_effort));
  CHECK_FALSE(worth_another(1, 4, inflation_effort));
}

TEST_CASE("most of a group is despaired of only after three good passes over a large group, far from it") {
  CHECK(far_from_most(200, 3, 120));
  CHECK_FALSE(far_from_most(200, 3, 121));
  CHECK_FALSE(far_from_most(200, 2, 10));
  CHECK_FALSE(far_from_most(199, 3, 10));
}

TEST_CASE("a check for most of a group is CHECK where most is left, else empty, early or not") {
  Random random(20);
  int most = 0, despaired = 0;
  for (bool weighted : {false, true}) {
    Bench bench(random_graph(600, 2400, weighted, random, 20));
    for (Vertex extra : {0, 2, 20, 60, 240}) {
      Members group = range(0, 20);
      for (Vertex v = 0; v < extra; ++v) group.push_back(30 + 2 * v);
      Random one(extra), other(extra);
      const Module whole = Cleaner(bench.study, one).check(group), kept = Cleaner(bench.study, other).check_most(group);
      const bool enough = static_cast<double>(whole.size()) > mostly * static_cast<double>(group.size());
      CHECK(kept.members == (enough ? whole.members : Members{}));
      most += enough, despaired += one.bits() != other.bits();
    }
  }
  CHECK(most > 0);
  CHECK(despaired > 0);
}

// Builds with assertions test every state again that is known to be hopeless.
TEST_CASE("what other groups have shown to be hopeless changes no module") {
  for (bool weighted : {false, true})
    for (Reach reach : {Reach::everywhere, Reach::inside}) {
      Bench shared(planted(weighted));
      int modules = 0;
      for (std::uint64_t trial = 0; trial < 40; ++trial) {
        Members group;
        Random draw(trial);
        for (Vertex v = 0; v < 60; ++v)
          if (draw.uniform() < (v < 10 ? 0.8 : 0.15)) group.push_back(v);
        Bench fresh(planted(weighted));
        Random random(trial), same(trial);
        const Module found = Cleaner(shared.study, random).clean(group, reach),
                     expected = Cleaner(fresh.study, same).clean(group, reach);
        REQUIRE(found.members == expected.members);
        CHECK(found.probability == expected.probability);
        CHECK(random.bits() == same.bits());
        modules += !found.empty();
      }
      CHECK(modules > 5);
    }
}

TEST_CASE("a ring of cliques: every clique, with any seed") {
  Bench bench(ring_of_cliques(12, 6));
  std::set<Members> cliques;
  for (Vertex i = 0; i < 12; ++i) cliques.insert(range(6 * i, 6 * i + 6));
  for (std::uint64_t seed = 1; seed <= 10; ++seed) CHECK(member_sets(search(bench, seed, 1).final_cover) == cliques);
}

TEST_CASE("graphs too small or too plain to have a module") {
  std::vector<Edge> clique, star, path;
  add_clique(clique, 0, 8);
  for (Vertex v = 1; v < 10; ++v) star.push_back({0, v, 1, 1.0}), path.push_back({v - 1, v, 1, 1.0});
  for (bool weighted : {false, true})
    for (const std::vector<Edge>& edges :
         {std::vector<Edge>{{0, 1, 1, 1.0}}, std::vector<Edge>{{0, 1, 1, 1.0}, {1, 2, 1, 1.0}, {0, 2, 1, 1.0}}, clique,
          star, path}) {
      Vertex size = 0;
      for (const Edge& edge : edges) size = std::max(size, edge.b + 1);
      Bench bench(graph_of(size, edges, weighted));
      const LevelResult result = search(bench, 1);
      CHECK(modules_of_two_or_more(result.final_cover) == 0);
      CHECK(result.final_cover.size() == static_cast<std::size_t>(size));
    }
}

TEST_CASE("cleaning finds a planted group again from a spoilt one; results of CHECK are subsets") {
  for (bool weighted : {false, true}) {
    Bench bench(planted(weighted));
    Random random(15);
    Cleaner cleaner(bench.study, random);
    Members spoilt = range(0, 10);
    for (Vertex v : {22, 33, 44}) spoilt.push_back(v);
    const Module checked = cleaner.check(spoilt);
    CHECK(std::includes(spoilt.begin(), spoilt.end(), checked.members.begin(), checked.members.end()));
    CHECK(common_members(checked.members, range(0, 10)) >= 9);
    CHECK(checked.size() <= 11);
    CHECK(checked.probability < 0.1);
    CHECK(common_members(cleaner.search(range(0, 8)).members, range(0, 10)) >= 9);
  }
}

TEST_CASE("cleaning of nothing, one vertex and the whole graph gives nothing") {
  Bench bench(planted(false));
  Random random(16);
  Cleaner cleaner(bench.study, random);
  CHECK(cleaner.search({}).empty());
  CHECK(cleaner.check({5}).empty());
  CHECK(cleaner.search(range(0, 60)).empty());
  CHECK(cleaner.inflate(range(0, 60)).empty());
}

TEST_CASE("the same seed gives the same result, whatever was analysed before") {
  Bench first(planted(true)), second(planted(true));
  const LevelResult a = search(first, 7);
  search(second, 8);
  const LevelResult b = search(second, 7);
  REQUIRE(a.final_cover.size() == b.final_cover.size());
  for (std::size_t i = 0; i < a.final_cover.size(); ++i) {
    CHECK(a.final_cover[i].members == b.final_cover[i].members);
    CHECK(a.final_cover[i].probability == b.final_cover[i].probability);
  }
}

TEST_CASE("the number of threads changes nothing, and every run is reported once") {
  Bench bench(planted(true));
  for (std::int64_t runs : {1, 12}) {
    std::vector<Modules> covers;
    std::set<Members> final_cover;
    for (int threads : {1, 2, 5, 40}) {
      Team team(bench.graph, bench.parameters, bench.log_factorial, threads);
      LevelPlan plan = plan_of(runs, true);
      if (runs > 1) plan.louvain = 2, plan.hint = {range(0, 9), range(20, 30)};
      std::int64_t reported = 0;
      std::atomic<std::int64_t> parts{0}, complete{0};
      plan.part_done = [&](std::int64_t done, std::int64_t count) { ++parts, complete += done == count; };
      plan.progress = [&](std::int64_t, std::int64_t done, std::int64_t) { reported += done; };
      const LevelResult result = search_level(team, plan, Random(4));
      CHECK(reported == (runs + plan.louvain) * (runs + plan.louvain + 1) / 2);
      CHECK((parts.load() > 0) == (runs == 1));
      CHECK((complete.load() > 0) == (runs == 1));
      if (threads == 1) covers = result.covers, final_cover = member_sets(result.final_cover);
      CHECK(member_sets(result.final_cover) == final_cover);
      REQUIRE(result.covers.size() == covers.size());
      for (std::size_t i = 0; i < covers.size(); ++i) CHECK(member_sets(result.covers[i]) == member_sets(covers[i]));
    }
  }
}

TEST_CASE("of one group two outcomes are kept, whoever asks first") {
  std::map<std::uint64_t, int> analyses;
  std::vector<std::set<double>> outcomes;
  for (const bool backwards : {false, true}) {
    Judgements judgements(Random(7));
    std::set<double> found;
    for (std::uint64_t i = 0; i < 20; ++i) {
      const Random run = Random(9).child(Phase::run, backwards ? 19 - i : i);
      for (const Members& group : {Members{1, 2}, Members{1, 3}}) {
        const Modules outcome = judgements.of(Phase::minimality, group, run, [&](Random draws) {
          ++analyses[group.back()];
          return Modules{{group, draws.uniform()}};
        });
        REQUIRE(outcome[0].members == group);
        found.insert(outcome[0].probability);
      }
    }
    outcomes.push_back(found);
  }
  CHECK(analyses == std::map<std::uint64_t, int>{{2, 4}, {3, 4}});
  CHECK(outcomes[0].size() == 4);
  CHECK(outcomes[0] == outcomes[1]);
}

TEST_CASE("an exception in a job reaches the caller") {
  Bench bench(planted(false));
  Team team(bench.graph, bench.parameters, bench.log_factorial, 3);
  CHECK_THROWS_AS(team.run(50,
                           [](std::int64_t index, Study&) {
                             if (index == 20) throw Error("twenty");
                           }),
                  Error);
}

TEST_CASE("a hint alone finds what it hints at; a loaded cover is taken as it is") {
  Bench bench(planted(false));
  Team team(bench.graph, bench.parameters, bench.log_factorial, 1);
  LevelPlan plan = plan_of(0, true);
  plan.hint = {range(0, 9), range(30, 34)};
  const LevelResult hinted = search_level(team, plan, Random(5));
  REQUIRE(modules_of_two_or_more(hinted.final_cover) == 1);
  CHECK(common_members(hinted.final_cover[0].members, range(0, 10)) >= 9);
  plan.hint.clear();
  plan.load = {{range(30, 34), 0.02}};
  CHECK(search_level(team, plan, Random(5)).covers[0][0].members == range(30, 34));
}

TEST_CASE("forced homeless vertices end in modules unless nothing connects them; every vertex is listed") {
  Bench bench(planted(false));
  const LevelResult forced = search(bench, 3, 3, false), kept = search(bench, 3, 3, true);
  CHECK(homeless_vertices(forced.final_cover, 60).size() <= homeless_vertices(kept.final_cover, 60).size());
  CHECK(member_sets(forced.final_cover) == member_sets(kept.without_singletons));
  for (const Modules* cover : {&forced.final_cover, &kept.final_cover})
    CHECK(union_of(member_lists(*cover)) == range(0, 60));
}

TEST_CASE("tolerance 0 finds nothing, tolerance 1 and no runs do not break") {
  for (double tolerance : {0.0, 1.0}) {
    Bench bench(planted(false));
    const Parameters parameters{tolerance, 0.5};
    Team team(bench.graph, parameters, bench.log_factorial, 1);
    const LevelResult result = search_level(team, plan_of(1, true), Random(1));
    if (tolerance == 0) CHECK(modules_of_two_or_more(result.final_cover) == 0);
    CHECK(union_of(member_lists(result.final_cover)) == range(0, 60));
  }
  Bench bench(planted(false));
  CHECK(search(bench, 1, 0).final_cover.size() == 60);
}

TEST_CASE("the label pass returns a partition into connected parts") {
  Random random(17);
  for (bool weighted : {false, true}) {
    Bench bench(random_graph(80, 200, weighted, random));
    std::vector<int> count(80, 0);
    for (const Members& part : LabelPass(bench.graph, bench.study.scores, random.child(Phase::label_pass)).run()) {
      for (Vertex v : part) ++count[v];
      const Graph inside = induced_subgraph(bench.graph, part, bench.study.map);
      CHECK(inside.num_edges() + 1 >= part.size());
    }
    CHECK(std::all_of(count.begin(), count.end(), [](int c) { return c == 1; }));
  }
}

TEST_CASE("sizes of inflation stay in range and fall off") {
  Random random(18);
  InflationSizes sizes(1000, 15000), tiny(1, 0), sparse(10, 4);
  CHECK(tiny.draw(random) == 0);
  int small = 0;
  for (int i = 0; i < 10000; ++i) {
    const Stubs size = sizes.draw(random);
    REQUIRE(size >= 1);
    REQUIRE(size <= 200);
    small += size <= 45;
    REQUIRE(sparse.draw(random) <= 5);
  }
  CHECK(small > 5500);
  CHECK(small < 9500);
}

TEST_CASE("a team inflates by the sizes it is given, one for all studies of its threads") {
  const Graph clique = ring_of_cliques(1, 30);
  const Parameters parameters;
  const LogFactorial log_factorial(clique.total_stubs());
  Random random(19);
  Team given(clique, parameters, log_factorial, 1, InflationSizes(4, 6)), own(clique, parameters, log_factorial, 1);
  Stubs largest_given = 0, largest_own = 0;
  for (int i = 0; i < 200; ++i) {
    largest_given = std::max(largest_given, given.study().inflation_sizes.draw(random));
    largest_own = std::max(largest_own, own.study().inflation_sizes.draw(random));
  }
  CHECK(largest_given == 2);
  CHECK(largest_own > 10);
}
