// The score of every member of a module: how probable its links to the rest of the module are by chance.
#ifndef OSLOM_MEMBER_SCORES_H
#define OSLOM_MEMBER_SCORES_H

#include <vector>

#include "membership.h"
#include "module.h"

namespace oslom {

// Module by module, in the order of its members.
inline std::vector<std::vector<double>> member_scores(const Graph& graph, const Modules& modules,
                                                      const LogFactorial& log_factorial) {
  Tails tails(log_factorial, !directed);
  const Scores scores(graph.weighted(), tails);
  Membership group(graph, scores);
  std::vector<std::vector<double>> result;
  for (const Module& module : modules) {
    group.build(module.members);
    const Outside outside = group.outside();
    result.emplace_back();
    for (Slot slot : group.members())
      result.back().push_back(scores.member_mid(group.links(slot), group.degree(slot), outside));
  }
  return result;
}

}  // namespace oslom

#endif  // OSLOM_MEMBER_SCORES_H
