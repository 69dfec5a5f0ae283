// Parts against wholes (METHOD.md 6.6, METHOD.md 6.7): of a module and the modules included in it, which are
// the better description, and are there modules that are better taken together?
#ifndef OSLOM_UNIONS_H
#define OSLOM_UNIONS_H

#include <vector>

#include "minimality.h"

namespace oslom {

inline Members to_local(const Members& members, const StampedMap& local) {
  Members result;
  for (Vertex v : members) result.push_back(local[v]);
  return result;
}

// FUSE: the whole is better than its parts unless the parts, cleaned within the union of everything,
// cover more than a share cp of it.
inline bool better_than_parts(Study& study, const Members& whole, const std::vector<const Members*>& parts,
                              const Random& random) {
  if (parts.size() < 2) return true;
  std::vector<const Members*> all = parts;
  all.push_back(&whole);
  const Graph graph = induced_subgraph(study.graph, union_of(all), study.map);
  Study inner(graph, study.parameters, study.probabilities);
  std::vector<char> covered(graph.num_vertices(), 0);
  std::size_t num_covered = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Random own = random.child(Phase::fuse, i);
    for (Vertex v : Cleaner(inner, own).check(to_local(*parts[i], study.map)).members)
      if (!covered[v]) covered[v] = 1, ++num_covered;
    if (static_cast<double>(num_covered) > study.parameters.parts_cover * static_cast<double>(whole.size()))
      return false;
  }
  return true;
}

// (a) From the largest module to the smallest: either it goes or everything included in it.
inline void choose_parts_or_wholes(Study& study, Modules& modules, const Random& random) {
  const std::vector<std::vector<std::int32_t>> inside = inclusions(modules, study.graph.num_vertices());
  std::vector<std::size_t> order(modules.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (modules[a].size() != modules[b].size()) return modules[a].size() > modules[b].size();
    return modules[a].probability < modules[b].probability;
  });
  std::vector<char> alive(modules.size(), 1);
  for (std::size_t whole : order) {
    if (!alive[whole] || inside[whole].empty()) continue;
    std::vector<const Members*> parts;
    for (std::int32_t part : inside[whole])
      if (alive[part]) parts.push_back(&modules[part].members);
    if (!better_than_parts(study, modules[whole].members, parts, random.child(Phase::parts, whole))) alive[whole] = 0;
    else
      for (std::int32_t part : inside[whole]) alive[part] = 0;
  }
  keep_only(modules, alive);
}

// (b) One round of unions; true if one was accepted.
inline bool unite_once(Study& study, Modules& modules, const Random& random) {
  Modules all = modules;
  for (Vertex v : homeless_vertices(modules, study.graph.num_vertices())) all.push_back({{v}, 1});
  const std::vector<const Members*> lists = member_lists(all);
  const Graph graph = weighted_module_graph(study.graph, lists);
  const std::vector<Members> sets = clusters_of(graph, study, random.child(Phase::label_pass));
  const std::size_t before = modules.size();
  for (std::size_t i = 0; i < sets.size(); ++i) {
    std::vector<const Members*> parts;
    for (Vertex module : sets[i]) parts.push_back(lists[module]);
    const Members whole = union_of(parts);
    Random own = random.child(Phase::unions, i);
    Module united = Cleaner(study, own).check_most(whole);
    if (united.empty()) continue;
    if (better_than_parts(study, united.members, parts, own)) add_module(modules, std::move(united));
  }
  const bool accepted = modules.size() > before;
  if (accepted) prune(modules, study.graph.num_vertices());
  return accepted;
}

}  // namespace oslom

#endif  // OSLOM_UNIONS_H
