// An edge file as a graph (README.md, "Edge file"). Every line that is not an edge, a comment or empty is an error that
// names the line, the value and what would be right.
//
// Format: two vertex ids and up to two numbers per line, separated as LineReader says; `#` starts a comment.
//   unweighted: third column, if any, is the number of parallel edges; a fourth is ignored
//   weighted:   third column is the weight (1 if missing), fourth the number of parallel edges
// Of repeated pairs (undirected: in either order) the first line counts. Self loops and edges of weight 0 only create
// their vertices; in directed graphs they are left out altogether, as in the original program, and so are vertices
// with nothing else. Vertices are numbered by increasing id, so the order of the lines does not matter.
#ifndef OSLOM_EDGE_READER_H
#define OSLOM_EDGE_READER_H

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "graph.h"
#include "line_reader.h"

namespace oslom {

struct InputGraph {
  Graph graph;
  std::vector<std::int64_t> ids;  // of the vertices, increasing
  std::vector<std::string> warnings;  // sentences
};

class EdgeReader : private LineReader {
 public:
  EdgeReader(std::string name, bool weighted) : LineReader(std::move(name), "edge file"), weighted_(weighted) {}

  InputGraph read_file() { return read(open_file()); }

  InputGraph read(std::istream&& text) {
    for_each_line(text, [this](const std::string& line) {
      split(line);
      if (!tokens_.empty()) read_edge();
    });
    return assemble();
  }

 private:
  struct Line {
    std::int64_t a, b;
    Stubs multiplicity;
    double weight;
    std::size_t line;
  };

  void read_edge() {
    if (tokens_.size() < 2) fail("only " + shown(tokens_[0]) + " on the line; an edge needs two vertex ids");
    if (tokens_.size() > 4)
      fail(std::to_string(tokens_.size()) + " columns, from the fifth on " + shown(tokens_[4]) +
           "; a line is one edge: two vertex ids and at most two numbers");
    Line edge{vertex_id(tokens_[0]), vertex_id(tokens_[1]), 1, 1.0, line_};
    for (std::size_t column = 2; column < tokens_.size(); ++column) number(tokens_[column]);
    if (weighted_ && tokens_.size() > 2) edge.weight = weight(tokens_[2]);
    const std::size_t multiplicity_column = weighted_ ? 3 : 2;
    if (tokens_.size() > multiplicity_column) edge.multiplicity = multiplicity(tokens_[multiplicity_column]);
    if (edge.weight == 0) skip_edge(edge);
    else if (edge.a == edge.b) add_vertex(edge.a);
    else lines_.push_back(edge);
  }

  // A self loop stands for its vertex.
  void add_vertex(std::int64_t id) { (directed ? lone_ : lines_).push_back({id, id, 1, 1.0, line_}); }

  void skip_edge(const Line& edge) {
    if (weightless_++ == 0) weightless_line_ = line_;
    add_vertex(edge.a);
    add_vertex(edge.b);
  }

  double number(const std::string& token) const {
    double value = 0;
    if (!read_real(token, value))
      fail(shown(token) + " is not a number; all columns after the ids are finite numbers such as 0.5 or 1e-3");
    return value;
  }

  // 0 is no edge: matrices are often written with their zeros.
  double weight(const std::string& token) const {
    const double value = number(token);
    if (value != 0 && (value < 1e-150 || value > 1e150))
      fail("weight " + shown(token) +
           " is out of range; with -w every weight must be larger than 0, between 1e-150 and 1e150");
    return value;
  }

  Stubs multiplicity(const std::string& token) {
    Stubs value = 0;
    const WholeNumber kind = read_whole(token, value);
    if (kind == WholeNumber::too_large || (kind == WholeNumber::good && value > largest_multiplicity))
      fail("number of parallel edges " + shown(token) + " is too large; it may be at most 2^53" + way_out());
    if (kind != WholeNumber::good || value < 1)
      fail("number of parallel edges " + shown(token) + " is not a positive whole number" + way_out());
    if (value != 1) note_parallel(value);
    return value;
  }

  void note_parallel(Stubs value) {
    if (parallel_++ == 0) parallel_line_ = line_;
    largest_parallel_ = std::max(largest_parallel_, value);
  }

  std::string way_out() const {
    return weighted_ ? "; the fourth column is that number: remove it if it is something else"
                     : "; with -uw the third column is that number: use -w for weights, or remove the column";
  }

  void warn_parallel() {
    if (parallel_ == 0) return;
    warnings_.push_back(
        where(parallel_line_) + ": the " + (weighted_ ? "fourth" : "third") +
        " column is read as the number of parallel edges, " + "which is not 1 on " +
        counted(parallel_, "line", "lines") + ", at most " + std::to_string(largest_parallel_) +
        (weighted_ ? "; remove it if it is something else" : "; use -w for weights, or remove the column"));
  }

  void warn_weightless() {
    if (weightless_ == 0) return;
    warnings_.push_back(where(weightless_line_) + ": an edge of weight 0 is none and is skipped (" +
                        counted(weightless_, "such line", "such lines") + ")");
  }

  InputGraph assemble() {
    std::vector<std::int64_t> ids = all_ids();
    warn_parallel();
    warn_weightless();
    warn_lone(ids);
    const std::vector<Edge> edges = all_edges(ids);
    if (edges.empty())
      throw Error(name_ + " contains no edge between two different vertices" +
                  (weightless_ > 0 ? " and of a weight larger than 0" : ""));
    check_total(edges);
    Graph graph(static_cast<Vertex>(ids.size()), edges, weighted_);
    if (directed) warn_reciprocal(graph);
    return {std::move(graph), std::move(ids), warnings_};
  }

  std::vector<std::int64_t> all_ids() const {
    std::vector<std::int64_t> ids = ids_of(lines_);
    if (ids.size() > static_cast<std::size_t>(std::numeric_limits<Vertex>::max()))
      throw Error(name_ + " has more than 2147483647 vertices");
    return ids;
  }

  static std::vector<std::int64_t> ids_of(const std::vector<Line>& lines) {
    std::vector<std::int64_t> ids;
    ids.reserve(2 * lines.size());
    for (const Line& line : lines) ids.push_back(line.a), ids.push_back(line.b);
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    ids.shrink_to_fit();
    return ids;
  }

  // Takes the lines: of a large file they need as much memory as its graph, which is not there yet.
  std::vector<Edge> all_edges(const std::vector<std::int64_t>& ids) {
    std::vector<Line> lines = std::move(lines_);
    sort(lines);
    std::vector<Edge> edges;
    edges.reserve(lines.size());
    const Line* kept = nullptr;
    for (const Line& line : lines) {
      if (line.a == line.b) continue;
      if (kept && kept->a == line.a && kept->b == line.b) note_repeated(*kept, line);
      else edges.push_back(edge_of(*(kept = &line), ids));
    }
    warn_repeated();
    return edges;
  }

  // By ends, of equal ends the first line of the file first.
  static void sort(std::vector<Line>& lines) {
    for (Line& line : lines)
      if (!directed && line.a > line.b) std::swap(line.a, line.b);
    std::sort(lines.begin(), lines.end(), [](const Line& p, const Line& q) {
      return p.a != q.a ? p.a < q.a : p.b != q.b ? p.b < q.b : p.line < q.line;
    });
  }

  static Edge edge_of(const Line& line, const std::vector<std::int64_t>& ids) {
    const auto index = [&ids](std::int64_t id) {
      return static_cast<Vertex>(std::lower_bound(ids.begin(), ids.end(), id) - ids.begin());
    };
    return {index(line.a), index(line.b), line.multiplicity, line.weight};
  }

  void note_repeated(const Line& first, const Line& again) {
    ++repeated_;
    if (first.weight == again.weight && first.multiplicity == again.multiplicity) return;
    if (differing_++ == 0 || again.line < differing_line_) differing_line_ = again.line, differing_first_ = first.line;
  }

  void warn_repeated() {
    if (differing_ == 0) return;
    warnings_.push_back(where(differing_line_) + ": repeats the edge of line " + std::to_string(differing_first_) +
                        " with another weight; the first line counts (" +
                        counted(repeated_, "repeated edge", "repeated edges") + ", " + std::to_string(differing_) +
                        " with another weight)");
  }

  // The score takes the two directions as independent; where most arcs are answered they are not. Every
  // arc is in two rows, and shares its links there with the arc back.
  void warn_reciprocal(const Graph& graph) {
    const std::size_t answered = 2 * graph.num_edges() - graph.end_link(graph.num_vertices() - 1);
    if (answered == 0 || answered * 5 < graph.num_edges()) return;
    warnings_.push_back(name_ + ": " + std::to_string(100 * answered / graph.num_edges()) +
                        " % of the arcs are answered by one back; modules of such graphs are too large and overlap, "
                        "consider oslom_undir");
  }

  // Of a directed graph: who is left out, `ids` being those of the graph.
  void warn_lone(const std::vector<std::int64_t>& ids) {
    std::vector<std::int64_t> left_out;
    for (std::int64_t id : ids_of(lone_))
      if (!std::binary_search(ids.begin(), ids.end(), id)) left_out.push_back(id);
    if (left_out.empty()) return;
    warnings_.push_back(name_ + ": vertices without an arc to or from another vertex are left out: " +
                        std::to_string(left_out.size()) + ", the first is " + std::to_string(left_out[0]));
  }

  void check_total(const std::vector<Edge>& edges) const {
    double total = 0;
    for (const Edge& edge : edges) total += 2.0 * static_cast<double>(edge.multiplicity);
    if (total >= 0x1p61) throw Error(name_ + " has too many parallel edges; their sum must stay below 2^60");
  }

  static constexpr Stubs largest_multiplicity = Stubs{1} << 53;

  bool weighted_;
  std::vector<Line> lines_;
  std::vector<Line> lone_;  // vertices of a directed graph that need an arc to be in it
  std::vector<std::string> warnings_;
  std::size_t repeated_ = 0, differing_ = 0, differing_line_ = 0, differing_first_ = 0;
  std::size_t parallel_ = 0, parallel_line_ = 0, weightless_ = 0, weightless_line_ = 0;
  Stubs largest_parallel_ = 0;
};

}  // namespace oslom

#endif  // OSLOM_EDGE_READER_H
