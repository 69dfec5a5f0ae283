// The score of every member of a module: how probable its links to the rest of the module are by chance.
#ifndef OSLOM_MEMBER_SCORES_H
#define OSLOM_MEMBER_SCORES_H

#include <vector>

#include "module.h"
#include "study.h"

namespace oslom {

// Module by module, in the order of its members.
inline std::vector<std::vector<double>> member_scores(Study& study, const Modules& modules) {
  std::vector<std::vector<double>> scores;
  for (const Module& module : modules) {
    study.set.build(module.members, Reach::inside);
    scores.emplace_back();
    for (Slot slot : study.set.members()) scores.back().push_back(study.set.exact_member_score(slot));
  }
  return scores;
}

}  // namespace oslom

#endif  // OSLOM_MEMBER_SCORES_H
