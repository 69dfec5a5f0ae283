// Minimal groups (METHOD.md 6.4): is a significant group better described by significant groups inside
// it? Every group is taken as a graph of its own and searched; what is found there and survives
// cleaning in the whole graph replaces the group if it covers most of it.
#ifndef OSLOM_MINIMALITY_H
#define OSLOM_MINIMALITY_H

#include <utility>
#include <vector>

#include "raw_collection.h"
#include "subgraph.h"

namespace oslom {

constexpr std::uint64_t minimality_rounds = 10;

inline Members to_parent(const Members& local, const Members& parent) {
  Members members;
  for (Vertex v : local) members.push_back(parent[v]);
  return members;
}

inline std::size_t covered_by(const Modules& parts) { return union_of(member_lists(parts)).size(); }

// Significant groups of the subgraph of a group, in terms of the whole graph's vertices.
inline Modules groups_inside(Study& study, const Members& group, const Random& random) {
  const Graph graph = induced_subgraph(study.graph, group, study.map);
  Study inner(graph, study.parameters, study.probabilities);
  Modules found = raw_collection(inner, random.child(Phase::subgroups));
  for (Module& module : found) module.members = to_parent(module.members, group);
  return found;
}

// The parts that replace a group, or nothing if it is minimal.
inline Modules better_parts(Study& study, const Module& group, const Random& random) {
  Modules parts = groups_inside(study, group.members, random);
  // Cleaning can only make the parts smaller, so this need not wait for it.
  if (covered_by(parts) <= mostly * static_cast<double>(group.size())) return {};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Random own = random.child(Phase::parts, i);
    parts[i] = Cleaner(study, own).check(parts[i].members);
    if (parts[i].size() == group.size()) return {};
  }
  if (covered_by(parts) <= mostly * static_cast<double>(group.size())) return {};
  parts.erase(std::remove_if(parts.begin(), parts.end(), [](const Module& part) { return part.empty(); }), parts.end());
  return parts;
}

inline Modules minimal_modules(Study& study, Modules groups, const Random& random) {
  Modules minimal;
  for (std::uint64_t round = 0; !groups.empty(); ++round) {
    drop_duplicates(groups);
    prune(groups, study.graph.num_vertices());
    std::vector<Modules> parts(groups.size());
    if (round < minimality_rounds)
      for_each_part(study, groups.size(), [&](std::int64_t index, Study& own) {
        const std::size_t i = static_cast<std::size_t>(index);
        parts[i] = judged(own, Phase::minimality, groups[i].members, random, round << 32 | i,
                          [&](const Random& draws) { return better_parts(own, groups[i], draws); });
      });
    Modules next;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      if (parts[i].empty()) minimal.push_back(std::move(groups[i]));
      else
        for (Module& part : parts[i]) next.push_back(std::move(part));
    }
    groups = std::move(next);
  }
  drop_duplicates(minimal);
  return minimal;
}

}  // namespace oslom

#endif  // OSLOM_MINIMALITY_H
