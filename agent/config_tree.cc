#include "agent/config_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

namespace holdfast {

namespace {

/// Builds the tree from the parser's events.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(int source, Findings& findings) : source_(source), findings_(findings) {}

  Node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node node;
    node.place = place_of(mark);
    finish(mark, std::move(node), anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node;
    node.kind = Node::Kind::scalar;
    // "?" is a plain scalar; "!" a quoted one; anything else an explicit tag such as !!str.
    node.quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    node.text = value;
    node.place = place_of(mark);
    finish(mark, std::move(node), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      throw YAML::ParserException(mark, "an alias stands inside of what it stands for");
    }
    count(mark, found->second.nodes - 1, found->second.depth);
    finish(mark, found->second.node, 0);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    start(mark, Node::Kind::sequence, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    start(mark, Node::Kind::map, anchor);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapEnd() override {
    take_in_merge_keys(open_.back().node);
    end();
  }

 private:
  struct Open {
    Node node;
    YAML::Mark mark;
    YAML::anchor_t anchor = 0;
    std::optional<Member> member;  // of a map: its key has come, its value has not
    bool key_is_word = true;
    std::size_t nodes_before = 0;
    std::size_t depth_below = 0;
  };
  struct Anchor {
    Node node;
    std::size_t nodes = 0;
    std::size_t depth = 0;
  };

  Place place_of(const YAML::Mark& mark) const {
    return {source_, std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1};
  }

  void count(const YAML::Mark& mark, std::size_t nodes, std::size_t depth_below) {
    nodes_ += nodes;
    if (nodes_ > kTreeNodesMax) {
      throw YAML::ParserException(
          mark, fmt::format("more than {} values, aliases counted", kTreeNodesMax));
    }
    if (open_.size() + depth_below > kTreeDepthMax) {
      throw YAML::ParserException(mark, fmt::format("nested more than {} deep", kTreeDepthMax));
    }
    if (!open_.empty()) {
      open_.back().depth_below = std::max(open_.back().depth_below, depth_below + 1);
    }
  }

  void start(const YAML::Mark& mark, Node::Kind kind, YAML::anchor_t anchor) {
    Open open;
    open.node.kind = kind;
    open.node.place = place_of(mark);
    open.mark = mark;
    open.anchor = anchor;
    open.nodes_before = nodes_;
    open_.push_back(std::move(open));
    if (open_.size() > kTreeDepthMax) {
      throw YAML::ParserException(mark, fmt::format("nested more than {} deep", kTreeDepthMax));
    }
  }

  void end() {
    Open open = std::move(open_.back());
    open_.pop_back();
    depth_of_ended_ = open.depth_below;
    nodes_of_ended_ = nodes_ - open.nodes_before + 1;
    finish(open.mark, std::move(open.node), open.anchor);
    depth_of_ended_ = 0;
    nodes_of_ended_ = 1;
  }

  void finish(const YAML::Mark& mark, Node node, YAML::anchor_t anchor) {
    count(mark, 1, depth_of_ended_);
    if (anchor != 0) anchors_[anchor] = {node, nodes_of_ended_, depth_of_ended_};
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == Node::Kind::sequence) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.member) {
      parent.member = Member{node.text, node.place, {}};
      parent.key_is_word = node.kind == Node::Kind::scalar;
    } else {
      add(parent, std::move(node));
    }
  }

  void add(Open& parent, Node value) {
    Member member = std::move(*parent.member);
    parent.member.reset();
    if (!parent.key_is_word) {
      findings_.error(member.place, "", "a key must be a word");
      return;
    }
    // The parser marks a missing value with what follows it, which may be lines away.
    if (value.kind == Node::Kind::null) value.place = member.place;
    member.value = std::move(value);
    if (const Member* first = parent.node.find(member.key)) {
      findings_.error(
          member.place, printable(member.key),
          fmt::format("the key stands twice in one map, first in line {}", first->place.line));
      return;
    }
    limit_keys(parent.node, member.place);
    parent.node.members.push_back(std::move(member));
  }

  /// Looking for a key goes through all of them.
  void limit_keys(const Node& map, const Place& place) const {
    if (map.members.size() < kMapKeysMax) return;
    throw YAML::ParserException(
        YAML::Mark::null_mark(),
        fmt::format("more than {} keys in the map that ends in line {}", kMapKeysMax, place.line));
  }

  /// `<<: *defaults`: members of the named maps that the map itself does not have.
  void take_in_merge_keys(Node& map) {
    const auto merge = std::find_if(map.members.begin(), map.members.end(),
                                    [](const Member& member) { return member.key == "<<"; });
    if (merge == map.members.end()) return;
    const Node from = std::move(merge->value);
    const Place place = merge->place;
    map.members.erase(merge);
    const std::vector<Node> one{from};
    for (const Node& source : from.kind == Node::Kind::sequence ? from.items : one) {
      if (source.kind != Node::Kind::map) {
        findings_.error(place, "<<", "must name a map or a list of maps");
        return;
      }
      for (const Member& member : source.members) {
        if (map.find(member.key) != nullptr) continue;
        limit_keys(map, place);
        map.members.push_back(member);
      }
    }
  }

  int source_;
  Findings& findings_;
  Node root_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Anchor> anchors_;
  std::size_t nodes_ = 0;
  std::size_t nodes_of_ended_ = 1;
  std::size_t depth_of_ended_ = 0;
};

/// The first byte that no YAML text has, as a place; binary files end here with a plain message.
std::optional<Place> find_binary(std::string_view text, int source) {
  Place place{source, 1, 1};
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '\n') {
      ++place.line;
      place.column = 1;
      continue;
    }
    if ((byte < 0x20 && byte != '\t' && byte != '\r') || byte == 0x7f || byte == 0xfe ||
        byte == 0xff) {
      return place;
    }
    ++place.column;
  }
  return std::nullopt;
}

Place place_of_error(const YAML::Mark& mark, int source) {
  return {source, std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1};
}

}  // namespace

const Member* Node::find(std::string_view key) const {
  for (const Member& member : members) {
    if (member.key == key) return &member;
  }
  return nullptr;
}

std::optional<Node> parse_yaml(std::string_view text, int source, Findings& findings) {
  if (text.size() > kSourceBytesMax) {
    findings.error({source, 1, 1}, "",
                   fmt::format("larger than {} bytes: not a configuration", kSourceBytesMax));
    return std::nullopt;
  }
  if (const auto place = find_binary(text, source)) {
    findings.error(*place, "", "not YAML: a byte that no UTF-8 text has");
    return std::nullopt;
  }
  TreeBuilder builder(source, findings);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return Node{.place = {source, 1, 1}};
    Node root = builder.take();
    TreeBuilder second(source, findings);
    if (parser.HandleNextDocument(second)) {
      findings.error(second.take().place, "",
                     "a second YAML document: a configuration is a single one");
    }
    return root;
  } catch (const YAML::Exception& error) {
    findings.error(place_of_error(error.mark, source), "", "not YAML: " + error.msg);
  } catch (const std::exception& error) {
    findings.error({source, 1, 1}, "", std::string("not YAML: ") + error.what());
  }
  return std::nullopt;
}

std::optional<Node> parse_yaml_value(std::string_view text, const Place& place) {
  Findings own;
  std::optional<Node> node = parse_yaml(text, -1, own);
  if (!node || !own.ok()) return std::nullopt;
  // Every value stands where the expression stands.
  std::vector<Node*> open{&*node};
  while (!open.empty()) {
    Node* next = open.back();
    open.pop_back();
    next->place = place;
    for (Node& item : next->items) open.push_back(&item);
    for (Member& member : next->members) {
      member.place = place;
      open.push_back(&member.value);
    }
  }
  return node;
}

void merge_tree(Node& into, Node from) {
  if (into.kind != Node::Kind::map || from.kind != Node::Kind::map) {
    into = std::move(from);
    return;
  }
  for (Member& member : from.members) {
    const auto same = std::find_if(into.members.begin(), into.members.end(),
                                   [&](const Member& m) { return m.key == member.key; });
    if (same == into.members.end()) {
      into.members.push_back(std::move(member));
    } else {
      same->place = member.place;
      merge_tree(same->value, std::move(member.value));
    }
  }
}

}  // namespace holdfast
