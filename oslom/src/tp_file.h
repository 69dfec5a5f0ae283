// Texts of the output files (README.md, "Output"): covers in tp format, scores, statistics.
#ifndef OSLOM_TP_FILE_H
#define OSLOM_TP_FILE_H

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "graph.h"
#include "module.h"
#include "number_text.h"

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

// Every member with its score; `scores` module by module, in the order of its members.
inline std::string scores_text(const Modules& modules, const std::vector<std::vector<double>>& scores, const Ids& ids) {
  std::string text;
  for (std::size_t i = 0; i < modules.size(); ++i) {
    text += module_header(i, modules[i]);
    for (std::size_t j = 0; j < modules[i].size(); ++j)
      text += std::to_string(ids[modules[i].members[j]]) + " " + six_digits(scores[i][j]) + "\n";
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

inline Spread spread_of(const std::vector<double>& values) {
  if (values.empty()) return {0, 0};
  const double count = static_cast<double>(values.size());
  double mean = 0, variance = 0;
  for (double value : values) mean += value / count;
  for (double value : values) variance += std::pow(value - mean, 2) / count;
  return {mean, std::sqrt(variance)};
}

inline Spread degree_spread(const Graph& graph, const Members& vertices, std::size_t which) {
  std::vector<double> degrees;
  for (Vertex v : vertices) degrees.push_back(static_cast<double>(graph.reported_degree(v, which)));
  return spread_of(degrees);
}

// Of any level, in vertices of the input graph.
inline std::string cover_statistics_text(const Modules& modules, Vertex num_vertices) {
  const Summary summary = summary_of(modules, num_vertices);
  const double homeless = mean_of(summary.homeless.size(), static_cast<std::size_t>(num_vertices));
  return "number of modules: " + std::to_string(summary.modules) + "\n" +
         "number of covered nodes: " + std::to_string(summary.covered) +
         " fraction of homeless nodes: " + six_digits(homeless) + "\n" +
         "average number of memberships of covered nodes: " +
         six_digits(mean_of(summary.memberships, summary.covered)) + "\n" +
         "average community size: " + six_digits(mean_of(summary.memberships, summary.modules)) + "\n";
}

// Of level 0.
inline std::string statistics_text(const Graph& graph, const Modules& modules) {
  const Members homeless = homeless_vertices(modules, graph.num_vertices());
  std::string text = cover_statistics_text(modules, graph.num_vertices());
  for (std::size_t which = 0; which < std::size(degree_names); ++which) {
    const Spread degrees = degree_spread(graph, homeless, which);
    text += std::string("average ") + degree_names[which] + " of homeless nodes: " + six_digits(degrees.mean) +
            " dev: " + six_digits(degrees.deviation) + "\n";
  }
  return text;
}

// Every edge once; vertices of graphs of modules are their numbers.
inline std::string net_text(const Graph& graph) {
  std::string text;
  for (Vertex a = 0; a < graph.num_vertices(); ++a)
    for (auto link = graph.first_link(a); link < graph.end_link(a); ++link) {
      if (!graph.lists(a, link)) continue;
      text += std::to_string(a) + "\t" + std::to_string(graph.target(link)) + "\t";
      if (graph.weighted()) text += six_digits(graph.weight(link)) + "\t";
      text += std::to_string(graph.multiplicity(link)) + (graph.weighted() && !directed ? "\t\n" : "\n");
    }
  return text;
}

}  // namespace oslom

#endif  // OSLOM_TP_FILE_H
