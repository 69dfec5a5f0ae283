// Subgraphs on groups of vertices.
#ifndef OSLOM_SUBGRAPH_H
#define OSLOM_SUBGRAPH_H

#include <vector>

#include "graph.h"

namespace oslom {

// The graph on `members` with all edges between them; vertex i of it is members[i].
inline Graph induced_subgraph(const Graph& graph, const Members& members, StampedMap& local) {
  local.clear();
  for (std::size_t i = 0; i < members.size(); ++i) local.set(members[i], static_cast<std::int32_t>(i));
  std::vector<Edge> edges;
  for (Vertex i = 0; i < static_cast<Vertex>(members.size()); ++i) {
    const Vertex v = members[i];
    for (auto link = graph.first_link(v); link < graph.end_link(v); ++link) {
      const Vertex u = graph.target(link);
      if (graph.lists(v, link) && local.contains(u))
        edges.push_back({i, local[u], graph.multiplicity(link), graph.weight(link)});
    }
  }
  return Graph(static_cast<Vertex>(members.size()), edges, graph.weighted());
}

}  // namespace oslom

#endif  // OSLOM_SUBGRAPH_H
