#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "doctest/doctest.h"
#include "edge_reader.h"
#include "example_graphs.h"
#include "hierarchy.h"
#include "level_files.h"
#include "says.h"

using namespace oslom;
using doctest::Approx;

namespace {

const LogFactorial log_factorial(20000);

// Random arcs, some answered, some inside blocks of ten vertices.
std::vector<Edge> random_arcs(Vertex num_vertices, std::size_t count, Random& random) {
  std::map<std::pair<Vertex, Vertex>, Edge> arcs;
  while (arcs.size() < count) {
    const Vertex a = static_cast<Vertex>(random.below(static_cast<std::uint64_t>(num_vertices)));
    Vertex b = static_cast<Vertex>(random.below(static_cast<std::uint64_t>(num_vertices)));
    if (random.uniform() < 0.5) b = a / 10 * 10 + static_cast<Vertex>(random.below(10));
    if (a == b || b >= num_vertices) continue;
    const Stubs multiplicity = 1 + static_cast<Stubs>(random.below(2));
    arcs[{a, b}] = {a, b, multiplicity, -std::log(random.uniform())};
  }
  std::vector<Edge> sorted;
  for (const auto& arc : arcs) sorted.push_back(arc.second);
  return sorted;
}

// Cliques of arcs in both of whose directions half of the pairs are joined, and a ring between them.
Graph ring_of_tournaments(Vertex count, Vertex size) {
  std::vector<Edge> arcs;
  Random random(3);
  for (Vertex i = 0; i < count; ++i) {
    for (Vertex a = i * size; a < (i + 1) * size; ++a)
      for (Vertex b = i * size; b < a; ++b) {
        const bool turned = random.uniform() < 0.5;
        arcs.push_back({turned ? b : a, turned ? a : b, 1, 1.0});
      }
    arcs.push_back({i * size, (i + 1) % count * size + 1, 1, 1.0});
  }
  return graph_of(count * size, arcs);
}

// h(x) and its tail by adding up, from the definition.
double hypergeometric(Stubs x, Stubs k, Stubs O, Stubs T) {
  if (x < 0 || x > k || x > O || k - x > T - O) return 0;
  const LogFactorial& f = log_factorial;
  return std::exp(f(O) - f(x) - f(O - x) + f(T - O) - f(k - x) - f(T - O - k + x) - f(T) + f(k) + f(T - k));
}
double mid_r(Stubs x, Stubs k, Stubs O, Stubs T) {
  double r = hypergeometric(x, k, O, T) / 2;
  for (Stubs j = x + 1; j <= k; ++j) r += hypergeometric(j, k, O, T);
  return r;
}

}  // namespace

TEST_CASE("rows hold all arcs, of both directions; totals and weights agree with a double loop") {
  Random random(51);
  for (bool weighted : {false, true}) {
    const std::vector<Edge> arcs = random_arcs(60, 300, random);
    const Graph graph(60, arcs, weighted);
    CHECK(graph.num_edges() == 300);
    Stubs total = 0;
    std::vector<double> out_strength(60, 0), in_strength(60, 0);
    for (const Edge& arc : arcs)
      total += arc.multiplicity, out_strength[arc.a] += arc.weight, in_strength[arc.b] += arc.weight;
    CHECK(graph.total_stubs() == total);
    std::size_t listed = 0;
    for (Vertex v = 0; v < 60; ++v) {
      Degree degree;
      for (auto link = graph.first_link(v); link < graph.end_link(v); ++link) {
        if (link > graph.first_link(v)) CHECK(graph.target(link) > graph.target(link - 1));
        const Links& links = graph.links_of_source(link);
        degree.in += links.in, degree.out += links.out;
        CHECK(graph.links_of_target(link).in == links.out);
        if (!graph.lists(v, link)) continue;
        ++listed;
        const auto arc = std::find_if(arcs.begin(), arcs.end(),
                                      [&](const Edge& e) { return e.a == v && e.b == graph.target(link); });
        REQUIRE(arc != arcs.end());
        CHECK(graph.multiplicity(link) == arc->multiplicity);
        if (!weighted) continue;
        CHECK(graph.weight(link) == arc->weight);
        const double leaving = out_strength[v] / static_cast<double>(graph.degree(v).out);
        const double arriving = in_strength[arc->b] / static_cast<double>(graph.degree(arc->b).in);
        const double mean = static_cast<double>(arc->multiplicity) * 2 / (1 / leaving + 1 / arriving);
        CHECK(links.z_out == Approx(arc->weight / mean));
      }
      CHECK(degree.in == graph.degree(v).in);
      CHECK(degree.out == graph.degree(v).out);
    }
    CHECK(listed == 300);
  }
}

TEST_CASE("unweighted scores: product of two hypergeometric tails; one direction alone if the other has no stubs") {
  Tails tails(log_factorial, false);
  const Scores scores(false, tails);
  const Outside outside{40, 900, 50, 800, 300, 60};
  const double r_in = mid_r(3, 6, 40, 900), r_out = mid_r(2, 30, 50, 800);
  const double product = r_in * r_out;
  CHECK(scores.mid({3, 2, 0, 0}, {6, 30}, outside) == Approx(product * (1 - std::log(product))).epsilon(1e-4));
  CHECK(scores.mid({3, 0, 0, 0}, {6, 0}, outside) == Approx(r_in).epsilon(1e-4));
  CHECK(scores.mid({0, 2, 0, 0}, {0, 30}, outside) == Approx(r_out).epsilon(1e-4));
  CHECK(scores.homeless({3, 2, 0, 0}, {6, 30}, outside) == Approx(std::min(r_in, r_out)).epsilon(1e-4));
}

TEST_CASE("weighted scores: four uniforms in both directions, two in one") {
  Tails tails(log_factorial, false);
  const Scores scores(true, tails);
  const Outside outside{40, 900, 50, 800, 300, 60};
  const double factor = 301.0 / 61;
  const double r_in = std::min(1.0, factor * mid_r(3, 6, 40, 900)),
               r_out = std::min(1.0, factor * mid_r(2, 30, 50, 800));
  const double w_in = weight_tail(4.5, 3), w_out = weight_tail(1.5, 2);
  const double y = -std::log(r_in * r_out * w_in * w_out);
  CHECK(scores.mid({3, 2, 4.5, 1.5}, {6, 30}, outside) == Approx(weight_tail(y, 4)).epsilon(1e-4));
  CHECK(scores.mid({3, 0, 4.5, 0}, {6, 0}, outside) == Approx(weight_tail(-std::log(r_in * w_in), 2)).epsilon(1e-4));
}

TEST_CASE(
    "keys are products that order vertices as mid scores do, above their floors and below the bounds of members") {
  Tails tails(log_factorial, false);
  Random random(57);
  const auto below = [&](Stubs n) { return static_cast<Stubs>(random.below(static_cast<std::uint64_t>(n))); };
  int useful = 0, small = 0;
  for (bool weighted : {false, true}) {
    const Scores scores(weighted, tails);
    for (int trial = 0; trial < 5000; ++trial) {
      const Outside outside{20 + below(100), 700 + below(900), 20 + below(100), 700 + below(900), 300, 60 + below(200)};
      const Degree k{below(15), below(15)};
      if (k.in == 0 && k.out == 0) continue;
      const Stubs in = below(std::min<Stubs>(k.in, 8) + 1), out = below(std::min<Stubs>(k.out, 8) + 1);
      const Links links{in, out, weighted ? random.uniform() * 2 * static_cast<double>(in) : 0,
                        weighted ? random.uniform() * 2 * static_cast<double>(out) : 0};
      const double w = scores.weight_part(links), score = scores.mid(links, k, outside);
      const double key = scores.single_key(links, k, w, outside), floor = scores.key_floor(links, k, w, outside);
      CHECK(scores.key(links, k, w, outside) == Approx(key).epsilon(1e-4));
      CHECK(scores.score_of(scores.key(links, k, w, outside)) == Approx(score).epsilon(1e-9));
      if (score > 1e-90 && score < 1) CHECK(scores.key_of(score) == Approx(key).epsilon(1e-4));
      REQUIRE(floor > 0);
      CHECK(floor <= key);
      useful += floor > 0.2 * key;
      const double fall = Scores::MemberFall(scores, outside)(links, k);
      CHECK(std::exp(-fall) * w * (1 + 1e-12) >= scores.member_key(links, k, w, outside));
      small += fall > 5;
    }
  }
  CHECK(useful > 2000);
  CHECK(small > 500);
}

TEST_CASE("test intervals stay within 0 and 1 and are centred on the mid score") {
  Random random(52);
  for (bool weighted : {false, true}) {
    Tails tails(log_factorial, false);
    const Scores scores(weighted, tails);
    for (int trial = 0; trial < 2000; ++trial) {
      const Degree k{static_cast<Stubs>(random.below(12)), static_cast<Stubs>(random.below(12))};
      const Links links{static_cast<Stubs>(random.below(static_cast<std::uint64_t>(k.in) + 1)),
                        static_cast<Stubs>(random.below(static_cast<std::uint64_t>(k.out) + 1)), 2 * random.uniform(),
                        2 * random.uniform()};
      const Outside outside{40, 900, 50, 800, 300, 60};
      const ScoreInterval interval = scores.test(links, k, scores.weight_part(links), outside, random);
      CHECK(interval.score == Approx(scores.mid(links, k, outside)).epsilon(1e-4));
      CHECK(interval.half >= 0);
      CHECK(interval.score - interval.half >= 0);
      CHECK(interval.score + interval.half <= 1);
    }
  }
}

TEST_CASE("moves keep the working set equal to a recount") {
  Random random(53);
  for (bool weighted : {false, true}) {
    Bench bench(Graph(60, random_arcs(60, 300, random), weighted));
    WorkingSet& set = bench.study.set;
    for (int trial = 0; trial < 10; ++trial) {
      set.build(range(static_cast<Vertex>(random.below(30)), 45), Reach::everywhere);
      for (int i = 0; i < 5; ++i) {
        const Few best = set.border_keys().nearest();
        REQUIRE(best.count > 0);
        set.insert(best.slot[0]);
        REQUIRE(set.group().matches_recount());
      }
      while (set.group().size() > 0) {
        set.remove(set.group().members()[random.below(set.group().members().size())]);
        REQUIRE(set.group().matches_recount());
      }
    }
  }
}

// Hubs that send arcs to many leaves and get some from them; leaves have few arcs of one direction or of both.
std::vector<Edge> random_hubs(Vertex hubs, Vertex leaves, Random& random) {
  std::set<std::pair<Vertex, Vertex>> arcs;
  for (Vertex leaf = hubs; leaf < hubs + leaves; ++leaf)
    for (int i = 0; i < 2; ++i) {
      const Vertex hub = static_cast<Vertex>(random.below(static_cast<std::uint64_t>(hubs)));
      if (random.below(4) > 0) arcs.insert({hub, leaf});
      else arcs.insert({leaf, hub});
    }
  std::vector<Edge> edges;
  for (const auto& [a, b] : arcs) edges.push_back({a, b, 1, -std::log(random.uniform())});
  return edges;
}

TEST_CASE("what is looked at again is all that the whole border shows, while members leave and after a restore") {
  Random random(55);
  int met = 0, skipped = 0;
  for (bool weighted : {false, true})
    for (bool hubs : {false, true})
      for (Reach reach : {Reach::everywhere, Reach::inside}) {
        Bench bench(hubs ? Graph(306, random_hubs(6, 300, random), weighted)
                         : Graph(300, random_arcs(300, 2000, random), weighted));
        WorkingSet& set = bench.study.set;
        for (int trial = 0; trial < 6; ++trial) {
          Members group = range(0, static_cast<Vertex>(2 + random.below(2)));
          for (Vertex v = 6; v < 300; ++v)
            if (random.below(5) == 0) group.push_back(v);
          set.build(group, reach);
          for (int pass = 0; pass < 2; ++pass) {
            while (set.group().size() > 0) {
              const Outside outside = set.group().outside();
              const double bound = bench.study.scores.key_of(0.1);
              std::set<Slot> seen, expected;
              const Slot slots = reach == Reach::inside ? set.group().built_size() : set.group().num_slots();
              set.border_keys().for_each_up_to(bound, outside, [&](Slot slot, double) { seen.insert(slot); });
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

TEST_CASE("what a member shows when it is taken out is what the smaller group shows") {
  Random random(54);
  Bench bench(Graph(60, random_arcs(60, 300, random), false));
  WorkingSet& set = bench.study.set;
  set.build(range(0, 20), Reach::everywhere);
  const Outside before = set.group().outside();
  Links links;
  for (auto link = bench.graph.first_link(0); link < bench.graph.end_link(0); ++link)
    if (bench.graph.target(link) < 20) links += bench.graph.links_of_source(link);
  const Outside predicted = before.without(bench.graph.degree(0), links);
  set.build(range(1, 20), Reach::everywhere);
  const Outside after = set.group().outside();
  CHECK(predicted.leaving == after.leaving);
  CHECK(predicted.arriving == after.arriving);
  CHECK(predicted.total_in == after.total_in);
  CHECK(predicted.total_out == after.total_out);
  CHECK(predicted.vertices == after.vertices);
}

TEST_CASE("a ring of tournaments: every one, with any seed and number of threads") {
  const Graph graph = ring_of_tournaments(10, 10);
  std::vector<Members> expected;
  for (Vertex i = 0; i < 10; ++i) expected.push_back(range(10 * i, 10 * i + 10));
  const Parameters parameters;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    HierarchyPlan plan;
    plan.first.runs = 2;
    plan.higher_runs = 2;
    plan.threads = static_cast<int>(seed);
    const std::vector<Level> levels = Hierarchy(graph, parameters, plan, seed).search();
    std::vector<Members> found;
    for (const Module& module : levels[0].result.final_cover) found.push_back(module.members);
    std::sort(found.begin(), found.end());
    CHECK(found == expected);
    REQUIRE(levels[0].next->num_edges() == 10);
  }
}

TEST_CASE("the graph of modules and net files: every arc once, both directions") {
  const Graph graph(4, {{0, 1, 1, 1.5}, {1, 2, 2, 1.0}, {2, 0, 1, 0.5}, {3, 1, 1, 4.0}}, true);
  const Members left{0, 1}, right{2, 3};
  const Graph modules = module_graph(graph, {&left, &right});
  CHECK(net_text(modules) == "0\t1\t1\t2\n1\t0\t4.5\t2\n");
}

TEST_CASE(
    "reading: arcs both ways are two, self loops leave nothing, what is lost and many answered arcs are worth "
    "warnings") {
  const InputGraph input = EdgeReader("g", false).read(std::istringstream("7 1\n1 7\n1 2\n1 2\n9 9\n2 5\n5 1\n"));
  CHECK(input.ids == std::vector<std::int64_t>{1, 2, 5, 7});
  CHECK(input.graph.num_edges() == 5);
  REQUIRE(input.warnings.size() == 2);
  CHECK(
      says(input.warnings[0], "g: vertices without an arc to or from another vertex are left out: 1, the first is 9"));
  CHECK(says(input.warnings[1], "40 %"));
  const InputGraph weighted = EdgeReader("g", true).read(std::istringstream("7 1 2\n7 8 0\n4 4 1\n1 1 1\n"));
  CHECK(weighted.ids == std::vector<std::int64_t>{1, 7});
  REQUIRE(weighted.warnings.size() == 2);
  CHECK(says(weighted.warnings[0], "g line 2: an edge of weight 0 is none and is skipped (1 such line)"));
  CHECK(says(weighted.warnings[1], "left out: 2, the first is 4"));
  CHECK(EdgeReader("g", false).read(std::istringstream("1 2\n2 3\n3 1\n")).warnings.empty());
  CHECK_THROWS_AS(EdgeReader("g", false).read(std::istringstream("9 9\n")), Error);
}

TEST_CASE("statistics name both degrees") {
  const Graph graph(3, {{0, 1, 1, 1}, {0, 2, 1, 1}}, false);
  const std::string text = statistics_text(graph, {{{0}, 1}, {{1}, 1}, {{2}, 1}});
  CHECK(says(text, "average in-degree of homeless nodes: 0.666667 dev: 0.471405\n"));
  CHECK(says(text, "average in+out-degree of homeless nodes: 1.33333 dev: 0.471405\n"));
}
