// Line plots as SVG files, with nothing but text: panels beside each other, each with lines over
// one x axis and one y axis from 0 to 1, and dashed marks on the x axis.
#pragma once

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace grapevine::benchmark {

struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;  // y from 0 to 1
  double mark = -1;  // an x that the line is held against; none below 0
};
struct Panel {
  std::string title;
  std::vector<Line> lines;
};

class Plot {
 public:
  Plot(std::string title, std::string x_axis, std::string y_axis, double x_max)
      : title_(std::move(title)),
        x_axis_(std::move(x_axis)),
        y_axis_(std::move(y_axis)),
        x_max_(x_max) {}

  void add(Panel panel) { panels_.push_back(std::move(panel)); }

  // False when the file cannot be written.
  bool write(const std::string& path) const {
    std::ofstream out(path);
    out << fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
        "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" "
        "fill=\"white\"/>\n",
        kLeft + static_cast<int>(panels_.size()) * kStep, kTop + kHeight + kBottom);
    text(out, kLeft, 20, title_, "font-size=\"15\"");
    for (std::size_t i = 0; i < panels_.size(); ++i) {
      draw(out, panels_[i], kLeft + static_cast<int>(i) * kStep);
    }
    text(out, 16, kTop + kHeight / 2, y_axis_,
         fmt::format("text-anchor=\"middle\" transform=\"rotate(-90 16 {})\"", kTop + kHeight / 2));
    out << "</svg>\n";
    return out.flush().good();
  }

 private:
  static constexpr int kLeft = 60;
  static constexpr int kTop = 60;
  static constexpr int kWidth = 300;
  static constexpr int kHeight = 260;
  static constexpr int kStep = 350;
  static constexpr int kBottom = 50;
  static constexpr const char* kColours[] = {"#1b6ca8", "#c0392b", "#218c53",
                                             "#8e44ad", "#d68910", "#555555"};

  static void text(std::ostream& out, int x, int y, const std::string& words,
                   const std::string& style = "") {
    out << fmt::format("<text x=\"{}\" y=\"{}\" {}>{}</text>\n", x, y, style, words);
  }

  void draw(std::ostream& out, const Panel& panel, int left) const {
    text(out, left + kWidth / 2, kTop - 10, panel.title, "text-anchor=\"middle\"");
    const auto x_of = [&](double x) { return left + std::min(x / x_max_, 1.0) * kWidth; };
    const auto y_of = [&](double y) { return kTop + (1 - y) * kHeight; };
    for (int i = 0; i <= 4; ++i) {
      const double y = y_of(i / 4.0);
      out << fmt::format(
          "<line x1=\"{}\" y1=\"{:.1f}\" x2=\"{}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>\n", left, y,
          left + kWidth, y);
      text(out, left - 6, static_cast<int>(y) + 4, fmt::format("{}", i / 4.0),
           "text-anchor=\"end\"");
      text(out, static_cast<int>(x_of(x_max_ * i / 4)), kTop + kHeight + 18,
           fmt::format("{:g}", x_max_ * i / 4), "text-anchor=\"middle\"");
    }
    text(out, left + kWidth / 2, kTop + kHeight + 38, x_axis_, "text-anchor=\"middle\"");
    for (std::size_t i = 0; i < panel.lines.size(); ++i) {
      const Line& line = panel.lines[i];
      const char* const colour = kColours[i % std::size(kColours)];
      std::string points;
      for (const auto& [x, y] : line.points) {
        points += fmt::format("{:.1f},{:.1f} ", x_of(x), y_of(y));
      }
      out << fmt::format(
          "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"{}\"/>\n", colour,
          points);
      if (line.mark >= 0) {
        out << fmt::format(
            "<line x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\" stroke=\"{3}\" "
            "stroke-dasharray=\"4 3\"/>\n",
            x_of(line.mark), kTop, kTop + kHeight, colour);
      }
      text(out, left + kWidth - 90, kTop + kHeight - 10 - 16 * static_cast<int>(i), line.name,
           fmt::format("fill=\"{}\"", colour));
    }
  }

  const std::string title_;
  const std::string x_axis_;
  const std::string y_axis_;
  const double x_max_;
  std::vector<Panel> panels_;
};

}  // namespace grapevine::benchmark
