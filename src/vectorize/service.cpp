#include "vectorize/service.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <future>

#include "kernels/cpu_isa.h"

namespace glia::vectorize {
namespace {

constexpr std::string_view kNameExpected =
    "vectorize.index.invalid_config - Index name must be 1 to 64 bytes of letters, digits, `-` and `_`";

bool usable_name(const std::string& name, const Limits& limits) {
  if (name.empty() || name.size() > limits.name_bytes) return false;
  for (const char c : name) {
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!good) return false;
  }
  return true;
}

Error not_found(const std::string& name) {
  return Error::worded(ErrorCode::vectorize_index_not_found, "vectorize.index.not_found - Index name \"" + name + "\"");
}

/// Not needed for anything but the file's size.
void checkpoint(LogStore& store) {
  try {
    store.checkpoint();
  } catch (const Error&) {
    // A reader is under way, or the disk is full: the next one does it.
  }
}

std::filesystem::path database_path(const Options& options) {
  return options.folder.empty() ? std::filesystem::path() : options.folder / "vectorize.sqlite";
}

}  // namespace

std::unique_ptr<Vectorize> Vectorize::open(const Options& options, const Clock& clock) {
  return std::make_unique<Service>(options, clock);
}

Service::FolderLock::FolderLock(const std::filesystem::path& folder) {
  if (folder.empty()) return;
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  file_ = ::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file_ < 0) throw Error(ErrorCode::internal, "the folder for vector indexes cannot be used");
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    ::close(file_);
    throw Error(ErrorCode::internal, "another glia serve holds the vector indexes of this data folder");
  }
}

Service::FolderLock::~FolderLock() {
  if (file_ >= 0) ::close(file_);
}

Service::Service(const Options& options, const Clock& clock)
    : options_(options),
      clock_(clock),
      folder_lock_(options.folder),
      memory_(options.memory_bytes),
      kernels_(*kernels::choose_isa("").table->vectors),
      store_(database_path(options)),
      maintenance_(
          options.threads, options.keep_alive_ms, clock, memory_, [this] { return all(); },
          [this](const Index& index) { return graph_path(index); }) {
  for (const IndexRow& row : store_.indexes()) {
    if (row.account.starts_with(kPassing)) {
      store_.begin();
      store_.drop(row.number);
      store_.commit();
      continue;
    }
    const auto index = std::make_shared<Index>(row, memory_);
    index->properties = store_.properties(row.number);
    indexes_.emplace(std::pair(row.account, row.entry.name), index);
  }
  queue_ = std::make_unique<CommitQueue>(store_, [this](LogStore& store) {
    if (!has_dropped_) return false;
    bool more = false;
    try {
      store.begin();
    } catch (const Error&) {
      return false;
    }
    try {
      more = store.sweep();
      store.commit();
    } catch (const Error&) {
      store.roll_back();
      return false;
    }
    has_dropped_ = more;
    if (!more) checkpoint(store);
    return more;
  });
  ticker_ = std::thread([this] { tick(); });
}

Service::~Service() {
  {
    const std::lock_guard lock(tick_mutex_);
    stopping_ = true;
  }
  tick_changed_.notify_all();
  ticker_.join();
  maintenance_.stop();
  for (const auto& index : all()) settle(index);
  queue_.reset();
}

std::filesystem::path Service::graph_path(const Index& index) const {
  if (options_.folder.empty()) return {};
  return options_.folder / ("graph-" + std::to_string(index.number) + ".bin");
}

std::vector<Service::IndexPtr> Service::all() const {
  const std::lock_guard lock(indexes_mutex_);
  std::vector<IndexPtr> out;
  for (const auto& [key, index] : indexes_) out.push_back(index);
  return out;
}

Service::IndexPtr Service::find(const std::string& account, const std::string& name) const {
  const std::lock_guard lock(indexes_mutex_);
  const auto it = indexes_.find({account, name});
  if (it == indexes_.end()) throw not_found(name);
  return it->second;
}

void Service::write_and_wait(CommitQueue::Work work) {
  std::promise<std::optional<Error>> promise;
  queue_->submit(std::move(work), [&promise](const Error* error) {
    promise.set_value(error == nullptr ? std::nullopt : std::optional(*error));
  });
  if (const auto error = promise.get_future().get()) throw Error(*error);
}

IndexEntry Service::create(const std::string& account, const std::string& name,
                           const std::optional<std::string>& description, const IndexConfig& config) {
  if (!usable_name(name, options_.limits)) {
    throw Error::worded(ErrorCode::vectorize_invalid_config, std::string(kNameExpected));
  }
  if (config.dimensions < 1 || config.dimensions > options_.limits.dimensions) {
    throw Error::worded(ErrorCode::vectorize_invalid_config,
                        "vectorize.index.invalid_config - Dimensions must be in range: [1, " +
                            std::to_string(options_.limits.dimensions) + "]");
  }
  IndexRow row;
  row.account = account;
  row.entry = {name, description, config, clock_.unix_ms(), clock_.unix_ms()};
  write_and_wait([&](LogStore& store) {
    {
      const std::lock_guard lock(indexes_mutex_);
      std::size_t of_account = 0;
      for (auto it = indexes_.lower_bound({account, ""}); it != indexes_.end() && it->first.first == account; ++it) {
        ++of_account;
      }
      if (of_account >= options_.limits.indexes) {
        throw Error::worded(ErrorCode::vectorize_invalid_config,
                            "vectorize.index.invalid_config - An account has at most " +
                                std::to_string(options_.limits.indexes) + " indexes");
      }
    }
    const auto number = store.create(account, row.entry);
    if (!number) {
      throw Error::worded(ErrorCode::vectorize_duplicate_name,
                          "vectorize.index.duplicate_name - Index name \"" + name + "\"");
    }
    row.number = *number;
  });
  const std::lock_guard lock(indexes_mutex_);
  indexes_.emplace(std::pair(account, name), std::make_shared<Index>(row, memory_));
  return row.entry;
}

IndexEntry Service::get(const std::string& account, const std::string& name) { return find(account, name)->entry; }

std::vector<IndexEntry> Service::list(const std::string& account) {
  const std::lock_guard lock(indexes_mutex_);
  std::vector<IndexEntry> out;
  for (auto it = indexes_.lower_bound({account, ""}); it != indexes_.end() && it->first.first == account; ++it) {
    out.push_back(it->second->entry);
  }
  return out;
}

void Service::drop(const std::string& account, const std::string& name) {
  const IndexPtr index = find(account, name);
  write_and_wait([&](LogStore& store) {
    if (index->dropped) throw not_found(name);
    store.drop(index->number);
  });
  index->dropped = true;
  has_dropped_ = true;
  {
    const std::lock_guard lock(indexes_mutex_);
    const auto it = indexes_.find({account, name});
    if (it != indexes_.end() && it->second == index) indexes_.erase(it);
  }
  std::error_code ec;
  if (const auto path = graph_path(*index); !path.empty()) std::filesystem::remove(path, ec);
  queue_->submit([](LogStore&) {}, [](const Error*) {});  // for its idle time
}

void Service::drop_account(const std::string& account) {
  for (const IndexEntry& entry : list(account)) {
    try {
      drop(account, entry.name);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::vectorize_index_not_found) throw;
    }
  }
}

}  // namespace glia::vectorize
