// Small graphs to test with.
#ifndef OSLOM_TESTS_EXAMPLE_GRAPHS_H
#define OSLOM_TESTS_EXAMPLE_GRAPHS_H

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "graph.h"
#include "random.h"
#include "study.h"

namespace oslom {

inline Graph graph_of(Vertex num_vertices, std::vector<Edge> edges, bool weighted = false) {
  std::sort(edges.begin(), edges.end(),
            [](const Edge& p, const Edge& q) { return std::pair(p.a, p.b) < std::pair(q.a, q.b); });
  return Graph(num_vertices, edges, weighted);
}

inline void add_clique(std::vector<Edge>& edges, Vertex first, Vertex size) {
  for (Vertex a = first; a < first + size; ++a)
    for (Vertex b = a + 1; b < first + size; ++b) edges.push_back({a, b, 1, 1.0});
}

// `count` cliques, each joined to the next by one edge; the last to the first if there are three or more.
inline Graph ring_of_cliques(Vertex count, Vertex size) {
  std::vector<Edge> edges;
  for (Vertex i = 0; i < count; ++i) add_clique(edges, i * size, size);
  for (Vertex i = 0; i + 1 < count; ++i) edges.push_back({i * size, (i + 1) * size + 1, 1, 1.0});
  if (count > 2) edges.push_back({1, (count - 1) * size, 1, 1.0});
  return graph_of(count * size, edges);
}

// Random multigraph with weights; groups of `block` consecutive vertices are denser.
inline Graph random_graph(Vertex num_vertices, int num_edges, bool weighted, Random& random, Vertex block = 10) {
  std::set<std::pair<Vertex, Vertex>> pairs;
  std::vector<Edge> edges;
  while (static_cast<int>(edges.size()) < num_edges) {
    const Vertex a = static_cast<Vertex>(random.below(static_cast<std::uint64_t>(num_vertices)));
    Vertex b = static_cast<Vertex>(random.below(static_cast<std::uint64_t>(num_vertices)));
    if (random.uniform() < 0.6)
      b = std::min(num_vertices - 1,
                   a / block * block + static_cast<Vertex>(random.below(static_cast<std::uint64_t>(block))));
    if (a == b || !pairs.insert(std::minmax(a, b)).second) continue;
    const Stubs multiplicity = random.uniform() < 0.2 ? 2 : 1;
    edges.push_back({std::min(a, b), std::max(a, b), multiplicity, weighted ? -std::log(random.uniform()) : 1.0});
  }
  return graph_of(num_vertices, edges, weighted);
}

inline Members range(Vertex first, Vertex end) {
  Members members;
  for (Vertex v = first; v < end; ++v) members.push_back(v);
  return members;
}

// A graph ready for analysis.
struct Bench {
  explicit Bench(Graph the_graph)
      : graph(std::move(the_graph)), log_factorial(graph.total_stubs() + graph.num_vertices()),
        probabilities(parameters, log_factorial), study(graph, parameters, probabilities) {}
  Graph graph;
  Parameters parameters;
  LogFactorial log_factorial;
  Probabilities probabilities;
  Study study;
};

}  // namespace oslom

#endif  // OSLOM_TESTS_EXAMPLE_GRAPHS_H
