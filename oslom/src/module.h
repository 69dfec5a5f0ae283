// What a search finds: modules, and collections of them, which may overlap.
#ifndef OSLOM_MODULE_H
#define OSLOM_MODULE_H

#include <vector>

#include "graph_types.h"

namespace oslom {

// A group and the probability ("bs") of finding its border in a random graph.
struct Module {
  Members members;
  double probability = 1;
  bool empty() const { return members.empty(); }
  std::size_t size() const { return members.size(); }
};

using Modules = std::vector<Module>;

// Vertices that are in no module of two or more.
inline Members homeless_vertices(const Modules& modules, Vertex num_vertices) {
  std::vector<char> covered(num_vertices, 0);
  for (const Module& module : modules)
    if (module.size() > 1)
      for (Vertex v : module.members) covered[v] = 1;
  Members homeless;
  for (Vertex v = 0; v < num_vertices; ++v)
    if (!covered[v]) homeless.push_back(v);
  return homeless;
}

}  // namespace oslom

#endif  // OSLOM_MODULE_H
