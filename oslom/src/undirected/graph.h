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
#ifndef OSLOM_UNDIRECTED_GRAPH_H
#define OSLOM_UNDIRECTED_GRAPH_H

#include <algorithm>
#include <cmath>
#include <vector>

#include "graph_types.h"

namespace oslom {

constexpr bool directed = false;
constexpr const char* program_name = "oslom_undir";
constexpr const char* edge_name = "edge";
constexpr const char* degree_names[] = {"degree"};

using Degree = Stubs;

// The links of one vertex to another, or to one group.
struct Links {
  Stubs x = 0;   // stubs
  double z = 0;  // sum of normalised weights, 0 in unweighted graphs

  bool any() const { return x > 0; }
  Links& operator+=(const Links& other) { return x += other.x, z += other.z, *this; }
  Links& operator-=(const Links& other) { return x -= other.x, z -= other.z, *this; }
};

// Whether they agree, weights up to rounding.
inline bool nearly_equal(const Links& a, const Links& b) {
  return a.x == b.x && std::fabs(a.z - b.z) <= 1e-9 * (1 + a.z);
}

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
  Degree degree(Vertex v) const { return degrees_[v]; }
  Stubs reported_degree(Vertex v, std::size_t) const { return degrees_[v]; }  // in statistics, under degree_names
  double strength(Vertex v) const { return weighted_ ? strengths_[v] : static_cast<double>(degrees_[v]); }

  // The links of v are first_link(v) .. end_link(v)-1; the other accessors take such an index.
  LinkIndex first_link(Vertex v) const { return offsets_[v]; }
  LinkIndex end_link(Vertex v) const { return offsets_[v + 1]; }
  Vertex target(LinkIndex link) const { return targets_[link]; }
  Stubs multiplicity(LinkIndex link) const { return multiplicities_.empty() ? 1 : multiplicities_[link]; }
  double weight(LinkIndex link) const { return weighted_ ? weights_[link] : static_cast<double>(multiplicity(link)); }
  double weight_both_ways(LinkIndex link) const { return weight(link); }
  double normalised_weight(LinkIndex link) const { return normalised_[link]; }  // weighted graphs only
  // What the row's vertex shares with the target, and the target with the row's vertex.
  Links links_of_source(LinkIndex link) const { return {multiplicity(link), weighted_ ? normalised_[link] : 0}; }
  Links links_of_target(LinkIndex link) const { return links_of_source(link); }
  // True in one of the two rows of an edge: to go over all edges once.
  bool lists(Vertex v, LinkIndex link) const { return targets_[link] > v; }

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
    if (any_parallel(edges)) multiplicities_.resize(2 * edges.size());
    if (weighted_) weights_.resize(2 * edges.size());
    if (weighted_) strengths_.assign(degrees_.size(), 0.0);
    std::vector<LinkIndex> next(offsets_.begin(), offsets_.end() - 1);
    for (const Edge& edge : edges) {
      put(next[edge.a]++, edge.a, edge.b, edge);
      put(next[edge.b]++, edge.b, edge.a, edge);
    }
  }

  static bool any_parallel(const std::vector<Edge>& edges) {
    return std::any_of(edges.begin(), edges.end(), [](const Edge& edge) { return edge.multiplicity != 1; });
  }

  void put(LinkIndex link, Vertex from, Vertex to, const Edge& edge) {
    targets_[link] = to;
    if (!multiplicities_.empty()) multiplicities_[link] = edge.multiplicity;
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
        normalised_[link] = weights_[link] * inverse_mean / static_cast<double>(multiplicity(link));
      }
  }

  bool weighted_;
  Stubs total_stubs_ = 0;
  std::vector<LinkIndex> offsets_;
  std::vector<Vertex> targets_;
  std::vector<Stubs> multiplicities_;  // empty if all are 1
  std::vector<double> weights_, normalised_;
  std::vector<Stubs> degrees_;
  std::vector<double> strengths_;
};

}  // namespace oslom

#endif  // OSLOM_UNDIRECTED_GRAPH_H
