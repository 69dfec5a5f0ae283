// An undirected multigraph, with or without weights, in compressed rows.
//
// Every edge {a,b} has an integer multiplicity m (parallel stubs) and, in a weighted graph, a
// weight w. degree k = sum of m, strength s = sum of w, total_stubs M = sum of all degrees.
// A weighted graph also keeps normalised weights v = w / <w>, where <w> is m times the harmonic
// mean of the end points' mean weights per stub: v = -ln P(W >= w) for an exponential weight.
// They belong to this graph: subgraphs and graphs of modules compute their own from w.
//
// Requires: no self loops, every edge listed once, a < b, edges sorted by (a,b). Rows are then
// sorted, so the result of a search does not depend on the order of the lines of a file.
#ifndef OSLOM_GRAPH_H
#define OSLOM_GRAPH_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace oslom {

using Vertex = std::int32_t;
using Stubs = std::int64_t;
using Members = std::vector<Vertex>;  // a group of vertices, sorted

struct Edge {
  Vertex a, b;
  Stubs multiplicity;
  double weight;
};

class Graph {
 public:
  using LinkIndex = std::size_t;

  Graph(Vertex num_vertices, const std::vector<Edge>& edges, bool weighted)
      : weighted_(weighted), offsets_(num_vertices + 1, 0), degrees_(num_vertices, 0) {
    count_links(edges);
    fill_rows(edges);
    if (weighted) normalise();
  }

  bool weighted() const { return weighted_; }
  Vertex num_vertices() const { return static_cast<Vertex>(degrees_.size()); }
  std::size_t num_edges() const { return targets_.size() / 2; }
  Stubs total_stubs() const { return total_stubs_; }
  Stubs degree(Vertex v) const { return degrees_[v]; }
  double strength(Vertex v) const { return weighted_ ? strengths_[v] : static_cast<double>(degrees_[v]); }

  // The links of v are first_link(v) .. end_link(v)-1; the other accessors take such an index.
  LinkIndex first_link(Vertex v) const { return offsets_[v]; }
  LinkIndex end_link(Vertex v) const { return offsets_[v + 1]; }
  Vertex target(LinkIndex link) const { return targets_[link]; }
  Stubs multiplicity(LinkIndex link) const { return multiplicities_[link]; }
  double weight(LinkIndex link) const {
    return weighted_ ? weights_[link] : static_cast<double>(multiplicities_[link]);
  }
  double normalised_weight(LinkIndex link) const { return normalised_[link]; }  // weighted graphs only

 private:
  void count_links(const std::vector<Edge>& edges) {
    for (const Edge& edge : edges) {
      ++offsets_[edge.a + 1];
      ++offsets_[edge.b + 1];
    }
    for (std::size_t v = 1; v < offsets_.size(); ++v) offsets_[v] += offsets_[v - 1];
  }

  void fill_rows(const std::vector<Edge>& edges) {
    targets_.resize(2 * edges.size());
    multiplicities_.resize(2 * edges.size());
    if (weighted_) weights_.resize(2 * edges.size());
    if (weighted_) strengths_.assign(degrees_.size(), 0.0);
    std::vector<LinkIndex> next(offsets_.begin(), offsets_.end() - 1);
    for (const Edge& edge : edges) {
      put(next[edge.a]++, edge.a, edge.b, edge);
      put(next[edge.b]++, edge.b, edge.a, edge);
    }
  }

  void put(LinkIndex link, Vertex from, Vertex to, const Edge& edge) {
    targets_[link] = to;
    multiplicities_[link] = edge.multiplicity;
    degrees_[from] += edge.multiplicity;
    total_stubs_ += edge.multiplicity;
    if (!weighted_) return;
    weights_[link] = edge.weight;
    strengths_[from] += edge.weight;
  }

  void normalise() {
    normalised_.resize(weights_.size());
    std::vector<double> stubs_per_weight(degrees_.size());
    for (std::size_t v = 0; v < degrees_.size(); ++v)
      stubs_per_weight[v] = static_cast<double>(degrees_[v]) / strengths_[v];
    for (Vertex v = 0; v < num_vertices(); ++v)
      for (LinkIndex link = first_link(v); link < end_link(v); ++link) {
        const double inverse_mean = (stubs_per_weight[v] + stubs_per_weight[targets_[link]]) / 2;
        normalised_[link] = weights_[link] * inverse_mean / static_cast<double>(multiplicities_[link]);
      }
  }

  bool weighted_;
  Stubs total_stubs_ = 0;
  std::vector<LinkIndex> offsets_;
  std::vector<Vertex> targets_;
  std::vector<Stubs> multiplicities_;
  std::vector<double> weights_, normalised_;
  std::vector<Stubs> degrees_;
  std::vector<double> strengths_;
};

// Marks on vertices (or modules) that are all cleared at once: a mark counts only if its stamp is
// the current one. Carries one integer per marked vertex.
class StampedMap {
 public:
  explicit StampedMap(std::size_t size) : entries_(size, Entry{0, 0}) {}

  void clear() {
    if (++stamp_ != 0) return;
    entries_.assign(entries_.size(), Entry{0, 0});
    stamp_ = 1;
  }
  bool contains(Vertex v) const { return entries_[v].stamp == stamp_; }
  std::int32_t operator[](Vertex v) const { return entries_[v].value; }
  void set(Vertex v, std::int32_t value) { entries_[v] = Entry{stamp_, value}; }

 private:
  struct Entry {
    std::uint32_t stamp;
    std::int32_t value;
  };
  std::uint32_t stamp_ = 1;
  std::vector<Entry> entries_;
};

// The graph on `members` with all edges between them; vertex i of it is members[i].
inline Graph induced_subgraph(const Graph& graph, const Members& members, StampedMap& local) {
  local.clear();
  for (std::size_t i = 0; i < members.size(); ++i) local.set(members[i], static_cast<std::int32_t>(i));
  std::vector<Edge> edges;
  for (Vertex i = 0; i < static_cast<Vertex>(members.size()); ++i) {
    const Vertex v = members[i];
    for (auto link = graph.first_link(v); link < graph.end_link(v); ++link) {
      const Vertex u = graph.target(link);
      if (u > v && local.contains(u))
        edges.push_back({i, local[u], graph.multiplicity(link), graph.weight(link)});
    }
  }
  return Graph(static_cast<Vertex>(members.size()), edges, graph.weighted());
}

}  // namespace oslom

#endif  // OSLOM_GRAPH_H
