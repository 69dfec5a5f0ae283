// The search of one level (sections 5.4-5.7): several independent covers of the graph, pooled into
// one, and the homeless vertices.
#ifndef OSLOM_SEARCH_H
#define OSLOM_SEARCH_H

#include <cstdint>
#include <vector>

#include "homeless.h"
#include "overlaps.h"

namespace oslom {

struct LevelPlan {
  std::int64_t runs;
  bool keep_homeless;  // -singlet: homeless vertices join only modules that stay significant
};

struct LevelResult {
  std::vector<Modules> covers;  // of the single runs, those that are not empty
  Modules final_cover;          // with a module of one for every homeless vertex
  Modules without_singletons;   // keep_homeless only: homeless vertices assigned by force
};

// Parts and wholes, unions (not in the final pooling), overlaps: section 5.5.
inline void settle_collection(Study& study, Modules& modules, bool with_unions, const Random& random) {
  drop_singletons(modules);
  if (modules.empty()) return;
  choose_parts_or_wholes(study, modules, random.child(Phase::parts));
  for (std::uint64_t round = 0; with_unions && round < 2; ++round)
    if (!unite_once(study, modules, random.child(Phase::unions, round))) break;
  OverlapResolver(study, modules, random.child(Phase::overlaps)).run();
  drop_singletons(modules);
  drop_duplicates(modules);
  prune(modules, study.graph.num_vertices());
}

inline Modules one_cover(Study& study, const Random& random) {
  Modules modules = minimal_modules(study, raw_collection(study, random), random);
  settle_collection(study, modules, true, random);
  return modules;
}

// The groups of all covers that mean something; several covers are reconciled.
inline Modules pooled(Study& study, const std::vector<Modules>& covers, const Random& random) {
  Modules pool;
  for (const Modules& cover : covers)
    for (const Module& module : cover)
      if (module.probability < 1) pool.push_back(module);
  drop_duplicates(pool);
  if (covers.size() > 1) settle_collection(study, pool, false, random);
  return pool;
}

inline LevelResult search_level(Study& study, const LevelPlan& plan, const Random& random) {
  LevelResult result;
  for (std::int64_t run = 0; run < plan.runs; ++run) {
    Modules cover = one_cover(study, random.child(Phase::run, static_cast<std::uint64_t>(run)));
    if (!cover.empty()) result.covers.push_back(std::move(cover));
  }
  result.final_cover = pooled(study, result.covers, random.child(Phase::pool));
  if (plan.keep_homeless) {
    assign_homeless(study, result.final_cover, Admission::cleaned, random.child(Phase::homeless, 0));
    result.without_singletons = result.final_cover;
    force_homeless(study, result.without_singletons, random.child(Phase::homeless, 1));
    add_singletons(result.without_singletons, study.graph.num_vertices());
  } else {
    force_homeless(study, result.final_cover, random.child(Phase::homeless, 1));
  }
  add_singletons(result.final_cover, study.graph.num_vertices());
  return result;
}

}  // namespace oslom

#endif  // OSLOM_SEARCH_H
