#include "worker/agent/pmix.h"

#include <pmix.h>
#include <pmix_server.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <set>
#include <vector>

#include "common/base/check.h"
#include "common/base/log.h"
#include "worker/agent/machine.h"

namespace tutti::agent {
namespace {

// The library takes plain function pointers and is one per process: so is this.
struct Callbacks {
  std::mutex mutex;
  // guarded by mutex
  std::function<void(std::string, std::uint32_t, int)> on_abort;
  std::function<void(PmixFence)> on_fence;
  std::set<std::string> spread_gangs;  // those on several machines
};
Callbacks& TheCallbacks() {
  static Callbacks callbacks;
  return callbacks;
}

// A pmix_info_t array that grows.
class InfoList {
 public:
  InfoList() = default;
  InfoList(const InfoList&) = delete;
  InfoList& operator=(const InfoList&) = delete;
  ~InfoList() {
    for (pmix_info_t& info : infos_) PMIX_INFO_DESTRUCT(&info);
  }

  void Add(const char* key, const std::string& value) {
    PMIx_Info_load(&Next(), key, value.c_str(), PMIX_STRING);
  }
  void Add(const char* key, std::uint32_t value) {
    PMIx_Info_load(&Next(), key, &value, PMIX_UINT32);
  }
  void AddNumber16(const char* key, std::uint16_t value) {
    PMIx_Info_load(&Next(), key, &value, PMIX_UINT16);
  }
  void AddRank(const char* key, pmix_rank_t value) {
    PMIx_Info_load(&Next(), key, &value, PMIX_PROC_RANK);
  }
  void AddTrue(const char* key) {
    bool value = true;
    PMIx_Info_load(&Next(), key, &value, PMIX_BOOL);
  }
  void AddArray(const char* key, InfoList& list) {
    pmix_data_array_t array;
    array.type = PMIX_INFO;
    array.size = list.infos_.size();
    array.array = list.infos_.data();
    PMIx_Info_load(&Next(), key, &array, PMIX_DATA_ARRAY);  // copies
  }

  pmix_info_t* data() { return infos_.data(); }
  std::size_t size() const { return infos_.size(); }

 private:
  pmix_info_t& Next() {
    infos_.emplace_back();
    PMIX_INFO_CONSTRUCT(&infos_.back());
    return infos_.back();
  }

  std::vector<pmix_info_t> infos_;
};

Error PmixError(std::string_view what, pmix_status_t status) {
  return Error{.code = ErrorCode::kInternal,
               .message = std::string(what) + ": " + PMIx_Error_string(status)};
}

// Waits for a completion callback, at most kDeadline. Shared with the callback, which may come
// later.
class Completion {
 public:
  static void Done(pmix_status_t status, void* data) {
    const std::unique_ptr<std::shared_ptr<Completion>> self(
        static_cast<std::shared_ptr<Completion>*>(data));
    const std::lock_guard lock((*self)->mutex_);
    (*self)->status_ = status;
    (*self)->done_ = true;
    (*self)->changed_.notify_all();
  }

  template <typename Call>
  static pmix_status_t Of(Call call) {
    const auto self = std::make_shared<Completion>();
    auto* data = new std::shared_ptr<Completion>(self);
    const pmix_status_t started = call(&Completion::Done, static_cast<void*>(data));
    if (started != PMIX_SUCCESS) {
      delete data;  // no callback comes
      return started == PMIX_OPERATION_SUCCEEDED ? PMIX_SUCCESS : started;
    }
    std::unique_lock lock(self->mutex_);
    if (!self->changed_.wait_for(lock, PmixServer::kDeadline, [&] { return self->done_; })) {
      return PMIX_ERR_TIMEOUT;
    }
    return self->status_ == PMIX_OPERATION_SUCCEEDED ? PMIX_SUCCESS : self->status_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  pmix_status_t status_ = PMIX_SUCCESS;
};

pmix_status_t OnAbort(const pmix_proc_t* proc, void* /*server_object*/, int status,
                      const char /*message*/[], pmix_proc_t /*procs*/[], std::size_t /*count*/,
                      pmix_op_cbfunc_t done, void* data) {
  {
    Callbacks& callbacks = TheCallbacks();
    const std::lock_guard lock(callbacks.mutex);
    if (callbacks.on_abort) callbacks.on_abort(proc->nspace, proc->rank, status);
  }
  if (done != nullptr) done(PMIX_SUCCESS, data);
  return PMIX_SUCCESS;
}

void FreeBytes(void* bytes) { delete static_cast<std::string*>(bytes); }

void AnswerFence(const std::optional<std::string>& everyones, pmix_modex_cbfunc_t done,
                 void* done_data) {
  if (done == nullptr) return;
  if (!everyones) {
    done(PMIX_ERR_LOST_CONNECTION, nullptr, 0, done_data, nullptr, nullptr);
    return;
  }
  auto* bytes = new std::string(*everyones);  // the library's until it calls FreeBytes
  done(PMIX_SUCCESS, bytes->data(), bytes->size(), done_data, FreeBytes, bytes);
}

// On one machine, what its ranks contributed is all there is.
pmix_status_t OnFence(const pmix_proc_t procs[], std::size_t count, const pmix_info_t /*info*/[],
                      std::size_t /*info_count*/, char* data, std::size_t size,
                      pmix_modex_cbfunc_t done, void* done_data) {
  std::string mine = data == nullptr ? std::string() : std::string(data, size);
  std::function<void(PmixFence)> on_fence;
  const std::string gang = count == 0 ? std::string() : std::string(procs[0].nspace);
  {
    Callbacks& callbacks = TheCallbacks();
    const std::lock_guard lock(callbacks.mutex);
    if (callbacks.spread_gangs.contains(gang)) on_fence = callbacks.on_fence;
  }
  if (on_fence) {
    on_fence({.gang = gang, .data = std::move(mine), .answer = [done, done_data](auto everyones) {
                AnswerFence(everyones, done, done_data);
              }});
  } else {
    AnswerFence(mine, done, done_data);
  }
  return PMIX_SUCCESS;
}

// Asked only for ranks of another machine; what they said came with the fence.
pmix_status_t OnDirectModex(const pmix_proc_t* /*proc*/, const pmix_info_t /*info*/[],
                            std::size_t /*count*/, pmix_modex_cbfunc_t /*done*/, void* /*data*/) {
  return PMIX_ERR_NOT_FOUND;
}

pmix_proc_t Proc(const std::string& gang, std::uint32_t rank) {
  pmix_proc_t proc;
  PMIX_PROC_CONSTRUCT(&proc);
  PMIX_LOAD_PROCID(&proc, gang.c_str(), rank);
  return proc;
}

std::string HostName() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

// "4,5,6,7"
std::string RankList(std::uint32_t first, std::uint32_t count) {
  std::string list;
  for (std::uint32_t rank = first; rank < first + count; ++rank) {
    if (rank > first) list += ',';
    list += std::to_string(rank);
  }
  return list;
}

// A machine and its first rank.
struct PlacedMachine {
  PmixMachine machine;
  std::uint32_t first_rank = 0;
};

std::vector<PlacedMachine> MachinesOf(const PmixGang& gang, const std::string& this_name) {
  std::vector<PlacedMachine> placed;
  std::uint32_t first_rank = 0;
  for (const PmixMachine& machine : gang.machines) {
    placed.push_back({machine, first_rank});
    first_rank += machine.ranks;
  }
  if (placed.empty()) placed.push_back({{.name = this_name, .ranks = gang.size}, 0});
  return placed;
}

Status AddMaps(const std::vector<PlacedMachine>& machines, InfoList& infos) {
  std::string names;
  std::string ranks;
  for (const PlacedMachine& placed : machines) {
    if (!names.empty()) {
      names += ',';
      ranks += ';';
    }
    names += placed.machine.name;
    ranks += RankList(placed.first_rank, placed.machine.ranks);
  }
  char* text = nullptr;
  pmix_status_t status = PMIx_generate_regex(names.c_str(), &text);
  if (status != PMIX_SUCCESS) return Fail(PmixError("PMIx cannot describe the machines", status));
  infos.Add(PMIX_NODE_MAP, std::string(text));
  free(text);
  status = PMIx_generate_ppn(ranks.c_str(), &text);
  if (status != PMIX_SUCCESS) return Fail(PmixError("PMIx cannot describe the ranks", status));
  infos.Add(PMIX_PROC_MAP, std::string(text));
  free(text);
  return {};
}

void AddRanks(const std::vector<PlacedMachine>& machines, InfoList& infos) {
  for (std::uint32_t node = 0; node < machines.size(); ++node) {
    for (std::uint32_t local = 0; local < machines[node].machine.ranks; ++local) {
      InfoList of_rank;
      of_rank.AddRank(PMIX_RANK, machines[node].first_rank + local);
      of_rank.Add(PMIX_APPNUM, std::uint32_t{0});
      of_rank.Add(PMIX_NODEID, node);
      of_rank.AddNumber16(PMIX_LOCAL_RANK, static_cast<std::uint16_t>(local));
      of_rank.AddNumber16(PMIX_NODE_RANK, static_cast<std::uint16_t>(local));
      of_rank.Add(PMIX_HOSTNAME, machines[node].machine.name);
      infos.AddArray(PMIX_PROC_DATA, of_rank);
    }
  }
}

}  // namespace

Result<std::unique_ptr<PmixServer>> PmixServer::Start(Options options) {
  // Components that need nothing outside the process; shared-memory ones leave files after a kill.
  setenv("PMIX_MCA_gds", "hash", 1);
  static pmix_server_module_t module{};
  module.abort = OnAbort;
  module.fence_nb = OnFence;
  module.direct_modex = OnDirectModex;
  {
    const std::lock_guard lock(TheCallbacks().mutex);
    TheCallbacks().on_abort = std::move(options.on_abort);
    TheCallbacks().on_fence = std::move(options.on_fence);
  }
  std::string name = options.machine_name.empty() ? HostName() : std::move(options.machine_name);
  InfoList infos;
  infos.Add(PMIX_HOSTNAME, name);
  infos.Add(PMIX_SERVER_TMPDIR, options.temp_dir.string());
  infos.Add(PMIX_SYSTEM_TMPDIR, options.temp_dir.string());
  const pmix_status_t status = PMIx_server_init(&module, infos.data(), infos.size());
  if (status != PMIX_SUCCESS) return Fail(PmixError("cannot start the PMIx server", status));
  auto topology = TopologyXml();
  if (!topology) Log(kWarning, "no_topology", {{"error", topology.error().ToString()}});
  return std::unique_ptr<PmixServer>(
      new PmixServer(std::move(name), topology ? std::move(*topology) : std::string()));
}

PmixServer::~PmixServer() {
  {
    const std::lock_guard lock(TheCallbacks().mutex);
    TheCallbacks().on_abort = nullptr;
    TheCallbacks().on_fence = nullptr;
  }
  PMIx_server_finalize();
}

Status PmixServer::Register(const PmixGang& gang) {
  TUTTI_CHECK(gang.size > 0, gang.name);
  if (gang.name.size() > PMIX_MAX_NSLEN) {
    return Fail(ErrorCode::kInvalid, "the gang's name is too long", gang.name);
  }
  const std::vector<PlacedMachine> machines = MachinesOf(gang, machine_name_);
  TUTTI_CHECK(gang.this_machine < machines.size(), gang.name);
  const PlacedMachine& here = machines[gang.this_machine];
  TUTTI_CHECK(machines.back().first_rank + machines.back().machine.ranks == gang.size, gang.name);
  {
    const std::lock_guard lock(TheCallbacks().mutex);
    if (machines.size() > 1) TheCallbacks().spread_gangs.insert(gang.name);
  }
  interfaces_[gang.name] = gang.interface;
  InfoList infos;
  infos.Add(PMIX_JOBID, gang.name);
  infos.Add(PMIX_UNIV_SIZE, gang.size);
  infos.Add(PMIX_JOB_SIZE, gang.size);
  infos.Add(PMIX_LOCAL_SIZE, here.machine.ranks);
  infos.Add(PMIX_LOCAL_PEERS, RankList(here.first_rank, here.machine.ranks));
  TUTTI_RETURN_IF_ERROR(AddMaps(machines, infos));
  infos.Add(PMIX_APPNUM, std::uint32_t{0});
  infos.Add(PMIX_JOB_NUM_APPS, std::uint32_t{1});
  infos.Add(PMIX_TMPDIR, gang.temp_dir.string());
  infos.AddTrue(PMIX_TDIR_RMCLEAN);
  if (!topology_.empty()) infos.Add(PMIX_HWLOC_XML_V2, topology_);
  AddRanks(machines, infos);
  pmix_status_t status = Completion::Of([&](pmix_op_cbfunc_t done, void* data) {
    return PMIx_server_register_nspace(gang.name.c_str(), static_cast<int>(here.machine.ranks),
                                       infos.data(), infos.size(), done, data);
  });
  if (status != PMIX_SUCCESS) return Fail(PmixError("PMIx refuses the gang", status));
  for (std::uint32_t local = 0; local < here.machine.ranks; ++local) {
    const pmix_proc_t proc = Proc(gang.name, here.first_rank + local);
    status = Completion::Of([&](pmix_op_cbfunc_t done, void* data) {
      return PMIx_server_register_client(&proc, gang.uid, gang.gid, nullptr, done, data);
    });
    if (status != PMIX_SUCCESS) {
      Deregister(gang.name);
      return Fail(PmixError("PMIx refuses a rank", status));
    }
  }
  return {};
}

Result<std::map<std::string, std::string>> PmixServer::Environment(const std::string& gang,
                                                                   std::uint32_t rank) const {
  const pmix_proc_t proc = Proc(gang, rank);
  char** variables = nullptr;
  const pmix_status_t status = PMIx_server_setup_fork(&proc, &variables);
  if (status != PMIX_SUCCESS) return Fail(PmixError("PMIx has no environment for a rank", status));
  std::map<std::string, std::string> environment;
  for (char** variable = variables; variable != nullptr && *variable != nullptr; ++variable) {
    if (const char* equals = std::strchr(*variable, '='); equals != nullptr) {
      environment.emplace(std::string(static_cast<const char*>(*variable), equals), equals + 1);
    }
    free(*variable);
  }
  free(variables);
  environment["PMIX_MCA_gds"] = "hash";  // start-up in 33 instead of 70 ms
  // Without the variable of a resource manager it knows, Open MPI 4.1 takes every rank for a
  // program of its own: world size 1, exit status 0.
  environment["FLUX_JOB_ID"] = gang;
  environment["OMPI_MCA_pml"] = "ob1";
  environment["OMPI_MCA_btl"] = "self,tcp";
  const auto interface = interfaces_.find(gang);
  environment["OMPI_MCA_btl_tcp_if_include"] =
      interface == interfaces_.end() ? "lo" : interface->second;
  environment["OMPI_MCA_mpi_yield_when_idle"] = "1";
  // The topology comes from us: hwloc's drivers (graphics, PCI) need not be loaded for it.
  if (!topology_.empty()) environment["HWLOC_PLUGINS_PATH"] = "/nonexistent";
  return environment;
}

void PmixServer::Deregister(const std::string& gang) {
  interfaces_.erase(gang);
  {
    const std::lock_guard lock(TheCallbacks().mutex);
    TheCallbacks().spread_gangs.erase(gang);
  }
  const pmix_status_t status = Completion::Of([&](pmix_op_cbfunc_t done, void* data) {
    PMIx_server_deregister_nspace(gang.c_str(), done, data);
    return PMIX_SUCCESS;
  });
  if (status != PMIX_SUCCESS) {
    Log(kWarning, "pmix_deregister_failed",
        {{"gang", gang}, {"status", PMIx_Error_string(status)}});
  }
}

}  // namespace tutti::agent
