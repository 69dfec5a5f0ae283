// What is done with collections of modules: unions, overlaps, pruning (METHOD.md 6.5).
#ifndef OSLOM_COLLECTION_H
#define OSLOM_COLLECTION_H

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "module.h"
#include "module_graph.h"

namespace oslom {

inline std::vector<const Members*> member_lists(const Modules& modules) {
  std::vector<const Members*> lists;
  for (const Module& module : modules) lists.push_back(&module.members);
  return lists;
}

inline std::size_t common_members(const Members& a, const Members& b) {
  std::size_t common = 0;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
    if (*i == *j) ++common, ++i, ++j;
    else if (*i < *j) ++i;
    else ++j;
  }
  return common;
}

inline Members united(const Members& a, const Members& b) {
  Members all;
  all.reserve(a.size() + b.size());
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  return all;
}

inline Members union_of(const std::vector<const Members*>& groups) {
  Members all;
  for (const Members* group : groups) all.insert(all.end(), group->begin(), group->end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

inline void keep_only(Modules& modules, const std::vector<char>& keep) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < modules.size(); ++i)
    if (keep[i]) {
      if (kept != i) modules[kept] = std::move(modules[i]);
      ++kept;
    }
  modules.resize(kept);
}

// Of identical modules the first stays.
inline void drop_duplicates(Modules& modules) {
  std::vector<std::size_t> order(modules.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return modules[a].members < modules[b].members; });
  std::vector<char> keep(modules.size(), 1);
  for (std::size_t i = 1; i < order.size(); ++i)
    if (modules[order[i]].members == modules[order[i - 1]].members) keep[order[i]] = 0;
  keep_only(modules, keep);
}

inline void drop_singletons(Modules& modules) {
  std::vector<char> keep;
  for (const Module& module : modules) keep.push_back(module.size() > 1);
  keep_only(modules, keep);
}

// The modules that share vertices with each module, and how many vertices.
class Overlaps {
 public:
  struct Shared {
    std::int32_t other;
    std::int32_t vertices;
  };

  Overlaps(const Modules& modules, Vertex num_vertices) : shared_(modules.size()) {
    const std::vector<std::vector<std::int32_t>> modules_of = memberships(member_lists(modules), num_vertices);
    std::vector<std::int32_t> count(modules.size(), 0);
    for (std::size_t i = 0; i < modules.size(); ++i) {
      for (Vertex v : modules[i].members)
        for (std::int32_t other : modules_of[v])
          if (count[other]++ == 0) shared_[i].push_back({other, 0});
      for (Shared& shared : shared_[i]) shared.vertices = count[shared.other], count[shared.other] = 0;
      std::sort(shared_[i].begin(), shared_[i].end(),
                [](const Shared& a, const Shared& b) { return a.other < b.other; });
    }
  }

  // Includes the module itself.
  const std::vector<Shared>& of(std::size_t module) const { return shared_[module]; }

 private:
  std::vector<std::vector<Shared>> shared_;
};

constexpr double half_covered = 0.49999;

// Whether `inner`, which shares so many vertices with `outer`, counts as included in it.
inline bool included(const Module& inner, const Module& outer, std::int32_t shared) {
  if (shared < half_covered * static_cast<double>(inner.size())) return false;
  return outer.size() > inner.size() || (outer.size() == inner.size() && outer.probability < inner.probability);
}

// The modules included in each module.
inline std::vector<std::vector<std::int32_t>> inclusions(const Modules& modules, Vertex num_vertices) {
  const Overlaps overlaps(modules, num_vertices);
  std::vector<std::vector<std::int32_t>> inside(modules.size());
  for (std::size_t outer = 0; outer < modules.size(); ++outer)
    for (const Overlaps::Shared& shared : overlaps.of(outer))
      if (included(modules[shared.other], modules[outer], shared.vertices)) inside[outer].push_back(shared.other);
  return inside;
}

// One round: deletes the modules included in modules that are themselves included in none.
inline bool prune_once(Modules& modules, Vertex num_vertices) {
  const std::vector<std::vector<std::int32_t>> inside = inclusions(modules, num_vertices);
  std::vector<char> root(modules.size(), 1), keep(modules.size(), 1);
  for (const std::vector<std::int32_t>& inner : inside)
    for (std::int32_t module : inner) root[module] = 0;
  for (std::size_t outer = 0; outer < modules.size(); ++outer)
    if (root[outer])
      for (std::int32_t module : inside[outer]) keep[module] = 0;
  const std::size_t before = modules.size();
  keep_only(modules, keep);
  return modules.size() < before;
}

inline void prune(Modules& modules, Vertex num_vertices) {
  while (prune_once(modules, num_vertices)) {}
}

// Adds a module unless it is there already.
inline void add_module(Modules& modules, Module module) {
  for (const Module& present : modules)
    if (present.members == module.members) return;
  modules.push_back(std::move(module));
}

}  // namespace oslom

#endif  // OSLOM_COLLECTION_H
