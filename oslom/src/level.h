// What a search says of one level of the hierarchy.
#ifndef OSLOM_LEVEL_H
#define OSLOM_LEVEL_H

#include <memory>
#include <vector>

#include "graph.h"
#include "module.h"

namespace oslom {

struct LevelResult {
  std::vector<Modules> covers;  // of the single runs, those that are not empty
  Modules final_cover;          // with a module of one for every homeless vertex
  Modules without_singletons;   // level 0 with keep_homeless only: homeless vertices assigned by force
};

struct Level {
  std::int64_t number = 0;
  LevelResult result;                 // in vertices of this level's graph
  Modules in_input;                   // the final cover in vertices of the input graph
  bool merged = true;                 // there are fewer or more modules than vertices
  std::shared_ptr<const Graph> next;  // the graph of the modules
};

}  // namespace oslom

#endif  // OSLOM_LEVEL_H
