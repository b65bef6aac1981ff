#include "tests/support/simulated_disk.h"

#include <algorithm>
#include <cerrno>

namespace holdfast {
namespace {

constexpr std::size_t kGraves = 4;

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

std::uint64_t sectors_of(std::uint64_t bytes) {
  return (bytes + SimulatedDisk::kSectorBytes - 1) / SimulatedDisk::kSectorBytes;
}

}  // namespace

CrashPolicy CrashPolicy::random(std::mt19937_64& random) {
  return {static_cast<Names>(random() % 4), static_cast<Data>(random() % 4),
          static_cast<Fill>(random() % 3)};
}

// ---- names ------------------------------------------------------------------------------------

int SimulatedDisk::parent_error(const std::string& path) const {
  const auto parent = names_.find(parent_of(path));
  if (parent == names_.end()) return ENOENT;
  return parent->second == kDirectory ? 0 : ENOTDIR;
}

int SimulatedDisk::find(const std::string& path, Inode& inode) const {
  const auto found = names_.find(path);
  if (found == names_.end()) return ENOENT;
  inode = found->second;
  return 0;
}

void SimulatedDisk::apply(const NameChange& change, Names& names) {
  if (!change.from.empty()) names.erase(change.from);
  if (!change.to.empty()) names[change.to] = change.inode;
}

void SimulatedDisk::change(NameChange change) {
  apply(change, names_);
  unsynced_names_.push_back(std::move(change));
}

int SimulatedDisk::create(const std::string& path, Inode& inode) {
  if (const int code = parent_error(path); code != 0) return code;
  if (names_.contains(path)) return EEXIST;
  inode = next_inode_++;
  files_[inode];
  change({"", path, inode});
  return 0;
}

int SimulatedDisk::make_directory(const std::string& path) {
  if (const int code = parent_error(path); code != 0) return code;
  if (names_.contains(path)) return EEXIST;
  change({"", path, kDirectory});
  return 0;
}

int SimulatedDisk::rename(const std::string& from, const std::string& to) {
  if (const int code = parent_error(to); code != 0) return code;
  const auto found = names_.find(from);
  if (found == names_.end()) return ENOENT;
  change({from, to, found->second});
  drop_unnamed();
  return 0;
}

int SimulatedDisk::unlink(const std::string& path) {
  const auto found = names_.find(path);
  if (found == names_.end()) return ENOENT;
  if (found->second == kDirectory) return EISDIR;
  change({path, "", found->second});
  drop_unnamed();
  return 0;
}

int SimulatedDisk::sync_directory(const std::string& path) {
  const auto found = names_.find(path);
  if (found == names_.end()) return ENOENT;
  // Backwards: what is synced brings the earlier changes of the same names with it.
  std::vector<NameChange> synced;
  std::vector<NameChange> left;
  for (auto at = unsynced_names_.rbegin(); at != unsynced_names_.rend(); ++at) {
    const bool here = (!at->from.empty() && parent_of(at->from) == path) ||
                      (!at->to.empty() && parent_of(at->to) == path);
    const bool needed = std::any_of(synced.begin(), synced.end(),
                                    [&](const NameChange& later) { return later.touches(*at); });
    (here || needed ? synced : left).push_back(std::move(*at));
  }
  for (auto at = synced.rbegin(); at != synced.rend(); ++at) apply(*at, durable_names_);
  unsynced_names_.assign(left.rbegin(), left.rend());
  drop_unnamed();
  return 0;
}

std::vector<DirectoryEntry> SimulatedDisk::list(const std::string& path) const {
  std::vector<DirectoryEntry> entries;
  const std::string prefix = path + "/";
  for (auto at = names_.lower_bound(prefix); at != names_.end() && at->first.starts_with(prefix);
       ++at) {
    const std::string name = at->first.substr(prefix.size());
    if (name.find('/') == std::string::npos) entries.push_back({name, at->second != kDirectory});
  }
  return entries;
}

/// A file is kept while a name, now or after a crash, or a handle leads to it. Its blocks are free
/// as soon as no present one does.
void SimulatedDisk::drop_unnamed() {
  std::set<Inode> present;
  for (const auto& [name, inode] : names_) present.insert(inode);
  std::set<Inode> possible = present;
  for (const auto& [name, inode] : durable_names_) possible.insert(inode);
  for (const NameChange& change : unsynced_names_) possible.insert(change.inode);
  for (auto at = files_.begin(); at != files_.end();) {
    File& file = at->second;
    if (file.handles == 0 && !present.contains(at->first)) {
      used_blocks_ -= file.blocks.size();
      file.blocks.clear();
      if (!possible.contains(at->first)) {
        graveyard_.push_back(std::move(file.current));
        if (graveyard_.size() > kGraves) graveyard_.pop_front();
        at = files_.erase(at);
        continue;
      }
    }
    ++at;
  }
}

// ---- files ------------------------------------------------------------------------------------

void SimulatedDisk::closed(Inode inode) {
  const auto found = files_.find(inode);
  if (found == files_.end()) return;
  if (--found->second.handles == 0) drop_unnamed();
}

void SimulatedDisk::put(std::string& content, std::uint64_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size(), '\0');
  content.replace(offset, bytes.size(), bytes);
}

bool SimulatedDisk::write(Inode inode, std::string_view bytes, std::uint64_t offset) {
  File& file = files_.at(inode);
  if (bytes.empty()) return true;
  const std::uint64_t last = (offset + bytes.size() - 1) / kDiskBlockBytes;
  bool whole = true;
  for (std::uint64_t block = offset / kDiskBlockBytes; block <= last; ++block) {
    if (file.blocks.contains(block)) continue;
    if (free_bytes() < kDiskBlockBytes) {
      const std::uint64_t end = std::max(block * kDiskBlockBytes, offset);
      bytes = bytes.substr(0, end - offset);
      whole = false;
      break;
    }
    file.blocks.insert(block);
    ++used_blocks_;
  }
  if (bytes.empty()) return whole;
  put(file.current, offset, bytes);
  file.unsynced.push_back({offset, std::string(bytes)});
  return whole;
}

void SimulatedDisk::sync(Inode inode) {
  File& file = files_.at(inode);
  for (const Write& write : file.unsynced) put(file.durable, write.offset, write.bytes);
  file.unsynced.clear();
}

void SimulatedDisk::fail_sync(Inode inode) {
  File& file = files_.at(inode);
  std::vector<bool> reached;
  keep_some(file, CrashPolicy::Data::sectors, reached);
  file.unsynced.clear();
  if (!coin()) return;
  const std::size_t size = file.current.size();  // the kernel goes on showing the new size
  file.current = file.durable;
  file.current.resize(size, '\0');
}

std::uint64_t SimulatedDisk::allocated(Inode inode) const {
  return files_.at(inode).blocks.size() * kDiskBlockBytes;
}

bool SimulatedDisk::has_bad_sector(Inode inode, std::uint64_t offset, std::uint64_t length) const {
  const std::set<std::uint64_t>& bad = files_.at(inode).bad_sectors;
  const auto found = bad.lower_bound(offset / kSectorBytes);
  return length > 0 && found != bad.end() && *found * kSectorBytes < offset + length;
}

// ---- what a test does -------------------------------------------------------------------------

std::uint64_t SimulatedDisk::used_bytes() const { return used_blocks_ * kDiskBlockBytes; }

std::uint64_t SimulatedDisk::free_bytes() const {
  return capacity_ > used_bytes() ? capacity_ - used_bytes() : 0;
}

void SimulatedDisk::damage_sector(const std::string& path, std::uint64_t sector) {
  files_.at(names_.at(path)).bad_sectors.insert(sector);
}

void SimulatedDisk::heal_sectors() {
  for (auto& [inode, file] : files_) file.bad_sectors.clear();
}

void SimulatedDisk::kill() {
  for (auto& [inode, file] : files_) file.handles = 0;
  drop_unnamed();
}

void SimulatedDisk::lose_power(const CrashPolicy& policy) {
  lose_names(policy.names);
  for (auto& [inode, file] : files_) {
    file.handles = 0;
    settle(file, policy);
  }
  used_blocks_ = 0;
  for (auto& [inode, file] : files_) {
    file.blocks.clear();
    const std::uint64_t blocks = rounded_to_blocks(file.current.size()) / kDiskBlockBytes;
    for (std::uint64_t block = 0; block < blocks; ++block) file.blocks.insert(block);
    used_blocks_ += blocks;
  }
  drop_unnamed();
}

void SimulatedDisk::lose_names(CrashPolicy::Names policy) {
  std::vector<NameChange> lost;
  const std::size_t prefix = random_() % (unsynced_names_.size() + 1);
  for (std::size_t i = 0; i < unsynced_names_.size(); ++i) {
    const NameChange& change = unsynced_names_[i];
    bool keep = policy == CrashPolicy::Names::kept;
    if (policy == CrashPolicy::Names::prefix) keep = i < prefix;
    if (policy == CrashPolicy::Names::subset) {
      keep = coin() && std::none_of(lost.begin(), lost.end(), [&](const NameChange& earlier) {
               return earlier.touches(change);
             });
    }
    if (keep) {
      apply(change, durable_names_);
    } else {
      lost.push_back(change);
    }
  }
  unsynced_names_.clear();
  // Parents come before their children in the map: a lost directory takes all below it along.
  for (auto at = durable_names_.begin(); at != durable_names_.end();) {
    const auto parent = durable_names_.find(parent_of(at->first));
    const bool reachable = at->first.empty() || parent != durable_names_.end();
    at = reachable ? std::next(at) : durable_names_.erase(at);
  }
  names_ = durable_names_;
}

/// Applies some of the unsynced writes to what is durable; `reached` says for each sector whether
/// one has come to it.
void SimulatedDisk::keep_some(File& file, CrashPolicy::Data policy, std::vector<bool>& reached) {
  if (policy == CrashPolicy::Data::lost) return;
  std::uint64_t pieces = 0;
  const auto each_piece = [&](auto&& take) {
    for (const Write& write : file.unsynced) {
      for (std::uint64_t at = 0; at < write.bytes.size();) {
        const std::uint64_t place = write.offset + at;
        const std::uint64_t length =
            std::min(kSectorBytes - place % kSectorBytes, write.bytes.size() - at);
        take(place, std::string_view(write.bytes).substr(at, length));
        at += length;
      }
    }
  };
  each_piece([&](std::uint64_t, std::string_view) { ++pieces; });
  std::uint64_t prefix = policy == CrashPolicy::Data::torn ? random_() % (pieces + 1) : pieces;
  const std::uint64_t chance_of_8 = 1 + random_() % 7;
  each_piece([&](std::uint64_t place, std::string_view bytes) {
    if (prefix == 0) return;
    --prefix;
    if (policy == CrashPolicy::Data::sectors && random_() % 8 >= chance_of_8) return;
    put(file.durable, place, bytes);
    const std::uint64_t sector = place / kSectorBytes;
    if (reached.size() <= sector) reached.resize(sector + 1);
    reached[sector] = true;
  });
}

void SimulatedDisk::settle(File& file, const CrashPolicy& policy) {
  if (!file.unsynced.empty()) {
    const std::uint64_t durable_size = file.durable.size();
    std::vector<bool> reached;
    keep_some(file, policy.data, reached);
    if (coin() && policy.data != CrashPolicy::Data::lost) {  // the size has come further
      for (const Write& write : file.unsynced) {
        const std::uint64_t end = write.offset + write.bytes.size();
        if (file.durable.size() < end) file.durable.resize(end, '\0');
      }
    }
    reached.resize(sectors_of(file.durable.size()));
    for (std::uint64_t sector = durable_size / kSectorBytes; sector < reached.size(); ++sector) {
      if (reached[sector]) continue;
      fill(file.durable, std::max(durable_size, sector * kSectorBytes),
           std::min<std::uint64_t>(file.durable.size(), (sector + 1) * kSectorBytes), policy.fill);
    }
    file.unsynced.clear();
  }
  file.current = file.durable;
}

void SimulatedDisk::fill(std::string& content, std::uint64_t from, std::uint64_t to,
                         CrashPolicy::Fill policy) {
  if (policy == CrashPolicy::Fill::zeros) return;
  const std::string* stale = nullptr;
  if (policy == CrashPolicy::Fill::stale && !graveyard_.empty()) {
    stale = &graveyard_[random_() % graveyard_.size()];
  }
  for (std::uint64_t at = from; at < to; ++at) {
    if (stale != nullptr) {
      content[at] = at < stale->size() ? (*stale)[at] : '\0';
    } else if (policy == CrashPolicy::Fill::garbage) {
      content[at] = static_cast<char>(random_());
    }
  }
}

}  // namespace holdfast
