// Texts of the output files (section 7.3): covers in tp format, scores, statistics.
#ifndef OSLOM_TP_FILE_H
#define OSLOM_TP_FILE_H

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "collection.h"

namespace oslom {

using Ids = std::vector<std::int64_t>;  // increasing, so members in order have ids in order

inline std::string module_header(std::size_t number, const Module& module) {
  return "#module " + std::to_string(number) + " size: " + std::to_string(module.size()) +
         " bs: " + six_digits(module.probability) + "\n";
}

inline std::string tp_text(const Modules& modules, const Ids& ids) {
  std::string text;
  for (std::size_t i = 0; i < modules.size(); ++i) {
    text += module_header(i, modules[i]);
    for (Vertex v : modules[i].members) text += std::to_string(ids[v]) + " ";
    text += "\n";
  }
  return text;
}

inline std::string covers_text(const std::vector<Modules>& covers, const Ids& ids) {
  std::string text;
  for (const Modules& cover : covers) text += tp_text(cover, ids);
  return text;
}

// Every member with its score: how probable its links to the rest of the module are by chance.
inline std::string scores_text(Study& study, const Modules& modules, const Ids& ids) {
  std::string text;
  for (std::size_t i = 0; i < modules.size(); ++i) {
    text += module_header(i, modules[i]);
    study.set.build(modules[i].members);
    for (Slot slot : study.set.members())
      text += std::to_string(ids[study.set.vertex(slot)]) + " " + six_digits(study.set.exact_member_score(slot)) + "\n";
  }
  return text;
}

struct Summary {
  std::size_t modules = 0, covered = 0, memberships = 0;
  Members homeless;
};

inline Summary summary_of(const Modules& modules, Vertex num_vertices) {
  Summary summary;
  summary.homeless = homeless_vertices(modules, num_vertices);
  summary.covered = static_cast<std::size_t>(num_vertices) - summary.homeless.size();
  for (const Module& module : modules)
    if (module.size() > 1) ++summary.modules, summary.memberships += module.size();
  return summary;
}

// 0 where there is nothing to average.
inline double mean_of(std::size_t sum, std::size_t count) {
  return count == 0 ? 0 : static_cast<double>(sum) / static_cast<double>(count);
}

struct Spread {
  double mean, deviation;
};

inline Spread degree_spread(const Graph& graph, const Members& vertices) {
  if (vertices.empty()) return {0, 0};
  const double count = static_cast<double>(vertices.size());
  double mean = 0, variance = 0;
  for (Vertex v : vertices) mean += static_cast<double>(graph.degree(v)) / count;
  for (Vertex v : vertices) variance += std::pow(static_cast<double>(graph.degree(v)) - mean, 2) / count;
  return {mean, std::sqrt(variance)};
}

inline std::string statistics_text(const Graph& graph, const Modules& modules) {
  const Summary summary = summary_of(modules, graph.num_vertices());
  const Spread degrees = degree_spread(graph, summary.homeless);
  const double homeless = mean_of(summary.homeless.size(), static_cast<std::size_t>(graph.num_vertices()));
  return "number of modules: " + std::to_string(summary.modules) + "\n" +
         "number of covered nodes: " + std::to_string(summary.covered) +
         " fraction of homeless nodes: " + six_digits(homeless) + "\n" +
         "average number of memberships of covered nodes: " + six_digits(mean_of(summary.memberships, summary.covered)) + "\n" +
         "average community size: " + six_digits(mean_of(summary.memberships, summary.modules)) + "\n" +
         "average degree of homeless nodes: " + six_digits(degrees.mean) + " dev: " + six_digits(degrees.deviation) + "\n";
}

}  // namespace oslom

#endif  // OSLOM_TP_FILE_H
