// What all graphs are made of: numbers, edges, groups, and marks on vertices.
//
// Graph itself, and the links, degrees and scores that go with it, are in undirected/ and directed/.
// A program includes one of the two: the include path decides, everything else is shared.
#ifndef OSLOM_GRAPH_TYPES_H
#define OSLOM_GRAPH_TYPES_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace oslom {

using Vertex = std::int32_t;
using Stubs = std::int64_t;
using Members = std::vector<Vertex>;  // a group of vertices, sorted

struct Edge {
  Vertex a, b;  // in a directed graph: from a to b
  Stubs multiplicity;
  double weight;
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
  void erase(Vertex v) { entries_[v].stamp = 0; }

 private:
  struct Entry {
    std::uint32_t stamp;
    std::int32_t value;
  };
  std::uint32_t stamp_ = 1;
  std::vector<Entry> entries_;
};

}  // namespace oslom

#endif  // OSLOM_GRAPH_TYPES_H
