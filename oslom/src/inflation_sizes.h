// How many neighbours a group that is not significant is inflated by (METHOD.md 5.6).
//
// P(a) is flat for a = 1..f and falls as a^-3 up to `top`; f is three times the mean degree and both
// are bounded by half the graph. A graph with fewer than two vertices has no sizes at all.
#ifndef OSLOM_INFLATION_SIZES_H
#define OSLOM_INFLATION_SIZES_H

#include <algorithm>
#include <cmath>
#include <vector>

#include "graph.h"
#include "random.h"

namespace oslom {

class InflationSizes {
 public:
  explicit InflationSizes(const Graph& graph) : InflationSizes(graph.num_vertices(), graph.total_stubs()) {}
  InflationSizes(Vertex num_vertices, Stubs total_stubs) : num_vertices_(num_vertices), total_stubs_(total_stubs) {}

  // A random size; 0 if there is none.
  Stubs draw(Random& random) {
    if (sums_.empty() && num_vertices_ >= 2) fill();
    if (sums_.empty()) return 0;
    const double target = random.uniform() * sums_.back();
    return std::upper_bound(sums_.begin(), sums_.end() - 1, target) - sums_.begin() + 1;
  }

 private:
  void fill() {
    const Stubs half = num_vertices_ / 2;
    const Stubs flat = std::min(half, 3 * (total_stubs_ / num_vertices_));
    const Stubs top = std::min(half, std::max<Stubs>(200, flat));
    double sum = 0;
    for (Stubs size = 1; size <= top; ++size)
      sums_.push_back(sum += std::pow(static_cast<double>(std::max(size, flat + 1)), -3));
  }

  Vertex num_vertices_;
  Stubs total_stubs_;
  std::vector<double> sums_;
};

}  // namespace oslom

#endif  // OSLOM_INFLATION_SIZES_H
