// Homeless vertices (METHOD.md 7.2): each joins the neighbouring module to which its links are the most
// surprising, either by force or only if the module with its newcomers is still significant.
#ifndef OSLOM_HOMELESS_H
#define OSLOM_HOMELESS_H

#include <vector>

#include "cleanup.h"
#include "collection.h"

namespace oslom {

enum class Admission { forced, cleaned };

class HomelessAssignment {
 public:
  HomelessAssignment(Study& study, Modules& modules, const Random& random)
      : study_(study), modules_(modules), random_(random),
        modules_of_(memberships(member_lists(modules), study.graph.num_vertices())), newcomers_(modules.size()),
        place_(modules.size()) {
    for (const Module& module : modules) outside_.push_back(outside_of(module));
  }

  void run(Admission admission) {
    for (Vertex v : homeless_vertices(modules_, study_.graph.num_vertices())) choose(v);
    const std::size_t before = modules_.size();
    for (std::size_t i = 0; i < before; ++i) {
      if (newcomers_[i].empty()) continue;
      Module grown{united(modules_[i].members, newcomers_[i]), modules_[i].probability};
      Random own = random_.child(Phase::homeless, i);
      if (admission == Admission::cleaned) grown = Cleaner(study_, own).check(grown.members);
      if (grown.size() > 1) add_module(modules_, std::move(grown));
    }
    drop_singletons(modules_);
    prune(modules_, study_.graph.num_vertices());
  }

 private:
  struct Nearby {
    std::int32_t module;
    Links links;
  };

  // What a module shows to the vertices outside; the border is not needed for this score.
  Outside outside_of(const Module& module) const {
    study_.map.clear();
    for (Vertex v : module.members) study_.map.set(v, 1);
    GroupTotals totals;
    for (Vertex v : module.members) {
      Links links;
      for (auto link = study_.graph.first_link(v); link < study_.graph.end_link(v); ++link)
        if (study_.map.contains(study_.graph.target(link))) links += study_.graph.links_of_source(link);
      totals.count(study_.graph.degree(v), links);
    }
    return totals.outside(study_.graph, static_cast<Stubs>(module.size()), 0);
  }

  void choose(Vertex v) {
    look_around(v);
    double smallest = 2;
    std::int32_t best = -1;
    for (const Nearby& nearby : nearby_) {
      const double score = study_.scores.homeless(nearby.links, study_.graph.degree(v), outside_[nearby.module]);
      if (score < smallest) smallest = score, best = nearby.module;
    }
    if (best >= 0) newcomers_[best].push_back(v);
  }

  void look_around(Vertex v) {
    place_.clear();
    nearby_.clear();
    for (auto link = study_.graph.first_link(v); link < study_.graph.end_link(v); ++link)
      for (std::int32_t module : modules_of_[study_.graph.target(link)])
        if (modules_[module].size() > 1) add(module, link);
  }

  void add(std::int32_t module, Graph::LinkIndex link) {
    if (!place_.contains(module)) {
      place_.set(module, static_cast<std::int32_t>(nearby_.size()));
      nearby_.push_back({module, {}});
    }
    nearby_[place_[module]].links += study_.graph.links_of_source(link);
  }

  Study& study_;
  Modules& modules_;
  Random random_;
  std::vector<std::vector<std::int32_t>> modules_of_;
  std::vector<Members> newcomers_;
  StampedMap place_;
  std::vector<Nearby> nearby_;
  std::vector<Outside> outside_;
};

inline void assign_homeless(Study& study, Modules& modules, Admission admission, const Random& random) {
  HomelessAssignment(study, modules, random).run(admission);
}

// By force, again and again, while fewer vertices are left each time.
inline void force_homeless(Study& study, Modules& modules, const Random& random) {
  std::size_t left = homeless_vertices(modules, study.graph.num_vertices()).size();
  for (std::uint64_t round = 0; left > 0; ++round) {
    assign_homeless(study, modules, Admission::forced, random.child(Phase::homeless, round));
    const std::size_t now = homeless_vertices(modules, study.graph.num_vertices()).size();
    if (now >= left) return;
    left = now;
  }
}

// Modules of one vertex for all that are still homeless, after the others.
inline void add_singletons(Modules& modules, Vertex num_vertices) {
  for (Vertex v : homeless_vertices(modules, num_vertices)) modules.push_back({{v}, 1});
}

}  // namespace oslom

#endif  // OSLOM_HOMELESS_H
