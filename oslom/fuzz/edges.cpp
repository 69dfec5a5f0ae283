// Fuzz target: any bytes as an edge file, with and without weights. What is accepted is a graph as Graph
// describes it and is the same after writing and reading; what is refused gets one sentence.
#include <cmath>
#include <cstdio>
#include <sstream>

#include "edge_reader.h"
#include "require.h"

namespace {

using namespace oslom;

bool positive(double weight) { return std::isfinite(weight) && weight > 0; }

void require_link(const Graph& graph, Vertex v, Graph::LinkIndex link) {
  require(graph.target(link) != v, "no self loops");
  require(graph.target(link) >= 0 && graph.target(link) < graph.num_vertices(), "targets are vertices");
  require(link == graph.first_link(v) || graph.target(link - 1) < graph.target(link), "rows increase");
  if (graph.lists(v, link)) require(graph.multiplicity(link) >= 1 && positive(graph.weight(link)), "links count");
  const Links links = graph.links_of_source(link);
  require(nearly_equal(links, links) && links.any(), "links are finite, with at least one stub");
}

void require_graph(const InputGraph& input) {
  const Graph& graph = input.graph;
  require(graph.num_edges() >= 1 && graph.total_stubs() >= 1, "an accepted file has an edge");
  require(input.ids.size() == static_cast<std::size_t>(graph.num_vertices()) && input.ids[0] >= 0, "vertices have ids");
  for (std::size_t i = 1; i < input.ids.size(); ++i) require(input.ids[i - 1] < input.ids[i], "ids increase");
  for (Vertex v = 0; v < graph.num_vertices(); ++v)
    for (auto link = graph.first_link(v); link < graph.end_link(v); ++link) require_link(graph, v, link);
  for (const std::string& warning : input.warnings) require_one_sentence(warning);
}

// All edges in ids, and all vertices as self loops; a directed graph has no vertices but those of its arcs.
std::string text_of(const InputGraph& input) {
  const Graph& graph = input.graph;
  std::string text;
  for (Vertex v = 0; v < graph.num_vertices(); ++v) {
    const std::string id = std::to_string(input.ids[v]);
    text += id + " " + id + "\n";
    for (auto link = graph.first_link(v); link < graph.end_link(v); ++link) {
      if (!graph.lists(v, link)) continue;
      char weight[40] = "";
      if (graph.weighted()) std::snprintf(weight, sizeof weight, " %.17g", graph.weight(link));
      text += id + " " + std::to_string(input.ids[graph.target(link)]) + weight;
      text += " " + std::to_string(graph.multiplicity(link)) + "\n";
    }
  }
  return text;
}

InputGraph read(const std::string& text, bool weighted) {
  return EdgeReader("g", weighted).read(std::istringstream(text));
}

// With commas for blanks, and CR for LF.
std::string respelled(std::string text) {
  for (char& c : text) c = c == ' ' ? ',' : c == '\n' ? '\r' : c;
  return text;
}

void check(const std::string& text, bool weighted) {
  try {
    const InputGraph input = read(text, weighted);
    require_graph(input);
    const std::string written = text_of(input);
    const InputGraph again = read(written, weighted);
    require(again.ids == input.ids && text_of(again) == written, "what was written is read again");
    require(text_of(read(respelled(written), weighted)) == written, "separators and line ends do not matter");
  } catch (const Error& error) {
    require_one_sentence(error.what());
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  check(text, false);
  check(text, true);
  return 0;
}
