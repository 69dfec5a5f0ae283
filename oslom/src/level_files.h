// Which files a level leaves in the output folder, and under which names (README.md, "Output").
#ifndef OSLOM_LEVEL_FILES_H
#define OSLOM_LEVEL_FILES_H

#include <numeric>
#include <string>

#include "level.h"
#include "output_folder.h"
#include "tp_file.h"

namespace oslom {

// Vertices of a graph of modules are called by their numbers.
inline Ids numbers_below(std::size_t count) {
  Ids numbers(count);
  std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
  return numbers;
}

inline void add_input_level(OutputFolder& folder, const Graph& graph, const Level& level, const Ids& ids,
                            bool keep_homeless) {
  folder.add("partitions_level_0", covers_text(level.result.covers, ids));
  folder.add("statistics_level_0.dat", statistics_text(graph, level.result.final_cover));
  if (keep_homeless) folder.add("tp_without_singletons", tp_text(level.result.without_singletons, ids));
  folder.add("tp", tp_text(level.result.final_cover, ids));
}

// `modules_below`: how many modules the level below has, the vertices of this one.
inline void add_higher_level(OutputFolder& folder, const Level& level, std::size_t modules_below, const Ids& ids) {
  const std::string number = std::to_string(level.number);
  const Ids numbers = numbers_below(modules_below);
  folder.add("partitions_level_" + number, covers_text(level.result.covers, numbers));
  folder.add("short_tp" + number, tp_text(level.result.final_cover, numbers));
  const Vertex num_vertices = static_cast<Vertex>(ids.size());
  folder.add("statistics_level_" + number + ".dat",
             level.merged ? cover_statistics_text(level.in_input, num_vertices) : "");
  if (level.merged) folder.add("tp" + number, tp_text(level.in_input, ids));
}

inline void add_levels(OutputFolder& folder, const Graph& graph, const std::vector<Level>& levels, const Ids& ids,
                       bool keep_homeless) {
  add_input_level(folder, graph, levels[0], ids, keep_homeless);
  for (std::size_t i = 1; i < levels.size(); ++i)
    add_higher_level(folder, levels[i], levels[i - 1].in_input.size(), ids);
  for (const Level& level : levels)
    if (level.merged) folder.add("net" + std::to_string(level.number + 1), net_text(*level.next));
}

}  // namespace oslom

#endif  // OSLOM_LEVEL_FILES_H
