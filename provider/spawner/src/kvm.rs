//! Whether KVM can run a stock kernel, decided by running one virtual CPU.
//!
//! On some machines `/dev/kvm` opens, has the right version and lists every capability, and a stock kernel hangs in
//! it all the same, because kernel mode is emulated there. So a CPU in long mode at ring 0 has to run a short loop
//! within a time in which real hardware would run it a hundred times.

use crate::serve::quoted;
use std::io::{self, Error};
use std::mem::{size_of, zeroed};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// About 0.1 ms of real hardware.
const LOOPS: u64 = 200_000;
const LOOP_LIMIT_US: i64 = 10_000;
/// For a kernel call that never comes back, and for a machine too busy to run us.
const WHOLE_LIMIT_MS: i32 = 2_000;

const KVM_CREATE_VM: u64 = 0xae01;
const KVM_GET_VCPU_MMAP_SIZE: u64 = 0xae04;
const KVM_CREATE_VCPU: u64 = 0xae41;
const KVM_SET_USER_MEMORY_REGION: u64 = 0x4020_ae46;
const KVM_RUN: u64 = 0xae80;
const KVM_GET_REGS: u64 = 0x8090_ae81;
const KVM_SET_REGS: u64 = 0x4090_ae82;
const KVM_GET_SREGS: u64 = 0x8138_ae83;
const KVM_SET_SREGS: u64 = 0x4138_ae84;
const KVM_EXIT_HLT: u32 = 5;

#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
enum Verdict {
    Usable,
    Pvm,
    Slow,
    Refused,
    Hung,
    Absent,
}

pub fn print_probe() -> io::Result<()> {
    let mut verdict = probe_in_child()?;
    if verdict == Verdict::Slow || verdict == Verdict::Hung {
        // A busy machine may have kept the loop from running.
        verdict = probe_in_child()?;
    }
    let (kvm, reason) = match verdict {
        Verdict::Usable => ("usable", "a virtual CPU ran in ring 0 at full speed"),
        Verdict::Pvm => (
            "pvm",
            "kvm_pvm runs guest kernels in ring 3, which needs a kernel built for it",
        ),
        Verdict::Slow if pvm_loaded() => ("unusable", "kvm_pvm emulates kernel mode, in which stock kernels hang"),
        Verdict::Slow => (
            "unusable",
            "a virtual CPU did not finish a short loop in ring 0: kernel mode is emulated",
        ),
        Verdict::Refused => ("unusable", "the kernel refused to make or run a virtual CPU"),
        Verdict::Hung => ("unusable", "a call to /dev/kvm did not return"),
        Verdict::Absent if unsafe { libc::access(DEVICE.as_ptr().cast(), libc::F_OK) } == 0 => {
            ("absent", "/dev/kvm cannot be opened by this user")
        }
        Verdict::Absent => ("absent", "there is no /dev/kvm"),
    };
    println!("{{\"kvm\":{},\"reason\":{}}}", quoted(kvm), quoted(reason));
    Ok(())
}

const DEVICE: &[u8] = b"/dev/kvm\0";

fn pvm_loaded() -> bool {
    std::path::Path::new("/sys/module/kvm_pvm").exists()
}

/// In a process of its own, so that a call that hangs can be given up.
fn probe_in_child() -> io::Result<Verdict> {
    unsafe {
        let mut ends = [0; 2];
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return Err(Error::last_os_error());
        }
        let pid = libc::fork();
        if pid < 0 {
            return Err(Error::last_os_error());
        }
        if pid == 0 {
            let verdict = probe() as u8;
            libc::write(ends[1], (&verdict as *const u8).cast(), 1);
            libc::_exit(0);
        }
        libc::close(ends[1]);
        let mut polled = libc::pollfd {
            fd: ends[0],
            events: libc::POLLIN,
            revents: 0,
        };
        let mut answer = Verdict::Hung as u8;
        if libc::poll(&mut polled, 1, WHOLE_LIMIT_MS) > 0
            && libc::read(ends[0], (&mut answer as *mut u8).cast(), 1) != 1
        {
            answer = Verdict::Refused as u8;
        }
        libc::close(ends[0]);
        libc::kill(pid, libc::SIGKILL);
        // A process stuck in the kernel cannot be reaped: do not wait for it.
        libc::waitpid(
            pid,
            ptr::null_mut(),
            if answer == Verdict::Hung as u8 {
                libc::WNOHANG
            } else {
                0
            },
        );
        let all = [
            Verdict::Usable,
            Verdict::Pvm,
            Verdict::Slow,
            Verdict::Refused,
            Verdict::Hung,
            Verdict::Absent,
        ];
        Ok(all[answer as usize])
    }
}

#[repr(C)]
struct MemoryRegion {
    slot: u32,
    flags: u32,
    guest_address: u64,
    size: u64,
    host_address: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Segment {
    base: u64,
    limit: u32,
    selector: u16,
    kind: u8,
    present: u8,
    dpl: u8,
    db: u8,
    s: u8,
    l: u8,
    g: u8,
    avl: u8,
    unusable: u8,
    padding: u8,
}

#[repr(C)]
struct SpecialRegisters {
    cs: Segment,
    data: [Segment; 5],
    tr: Segment,
    ldt: Segment,
    tables: [u64; 4],
    cr0: u64,
    cr2: u64,
    cr3: u64,
    cr4: u64,
    cr8: u64,
    efer: u64,
    apic_base: u64,
    interrupts: [u64; 4],
}

#[repr(C)]
struct Registers {
    rax: u64,
    rbx: u64,
    rcx: u64,
    others: [u64; 13],
    rip: u64,
    rflags: u64,
}
const RSP: usize = 3;

#[repr(C)]
struct RunArea {
    request_interrupt_window: u8,
    immediate_exit: u8,
    padding: [u8; 6],
    exit_reason: u32,
}

static RUN_AREA: AtomicPtr<RunArea> = AtomicPtr::new(ptr::null_mut());

extern "C" fn leave_guest(_signal: libc::c_int) {
    let area = RUN_AREA.load(Ordering::SeqCst);
    if !area.is_null() {
        unsafe { ptr::write_volatile(ptr::addr_of_mut!((*area).immediate_exit), 1) };
    }
}

unsafe fn probe() -> Verdict {
    let kvm = libc::open(DEVICE.as_ptr().cast(), libc::O_RDWR | libc::O_CLOEXEC);
    if kvm < 0 {
        return Verdict::Absent;
    }
    run_loop(kvm).unwrap_or(Verdict::Refused)
}

unsafe fn run_loop(kvm: i32) -> Option<Verdict> {
    const MEMORY: usize = 65536;
    let vm = call(kvm, KVM_CREATE_VM, 0)?;
    let memory = map(MEMORY, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)?;
    let region = MemoryRegion {
        slot: 0,
        flags: 0,
        guest_address: 0,
        size: MEMORY as u64,
        host_address: memory as u64,
    };
    call(vm, KVM_SET_USER_MEMORY_REGION, &region as *const _ as u64)?;
    let cpu = call(vm, KVM_CREATE_VCPU, 0)?;
    let area_size = call(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)? as usize;
    let area = map(area_size, libc::MAP_SHARED, cpu)? as *mut RunArea;

    // Page tables that map the first 2 MiB onto itself.
    *(memory.add(0x1000) as *mut u64) = 0x2003;
    *(memory.add(0x2000) as *mut u64) = 0x3003;
    *(memory.add(0x3000) as *mut u64) = 0x83;
    // mov %cs,%eax; 1: dec %rcx; jnz 1b; hlt
    let code = [0x8cu8, 0xc8, 0x48, 0xff, 0xc9, 0x75, 0xfb, 0xf4];
    ptr::copy_nonoverlapping(code.as_ptr(), memory.add(0x4000), code.len());

    let mut special: SpecialRegisters = zeroed();
    call(cpu, KVM_GET_SREGS, &mut special as *mut _ as u64)?;
    let flat = Segment {
        base: 0,
        limit: u32::MAX,
        selector: 16,
        kind: 3,
        present: 1,
        dpl: 0,
        db: 1,
        s: 1,
        l: 0,
        g: 1,
        avl: 0,
        unusable: 0,
        padding: 0,
    };
    special.cs = Segment {
        selector: 8,
        kind: 11,
        db: 0,
        l: 1,
        ..flat
    };
    special.data = [flat; 5];
    special.cr0 = 0x8000_0011;
    special.cr3 = 0x1000;
    special.cr4 = 0x20;
    special.efer = 0x500;
    call(cpu, KVM_SET_SREGS, &special as *const _ as u64)?;
    let mut registers: Registers = zeroed();
    registers.rip = 0x4000;
    registers.rflags = 2;
    registers.rcx = LOOPS;
    registers.others[RSP] = 0x8000;
    call(cpu, KVM_SET_REGS, &registers as *const _ as u64)?;

    RUN_AREA.store(area, Ordering::SeqCst);
    let mut action: libc::sigaction = zeroed();
    action.sa_sigaction = leave_guest as extern "C" fn(libc::c_int) as usize;
    libc::sigaction(libc::SIGALRM, &action, ptr::null_mut());
    let limit = libc::itimerval {
        it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
        it_value: libc::timeval {
            tv_sec: 0,
            tv_usec: LOOP_LIMIT_US,
        },
    };
    libc::setitimer(libc::ITIMER_REAL, &limit, ptr::null_mut());
    let ran = libc::ioctl(cpu, KVM_RUN as _, 0);
    let interrupted = ran != 0 && Error::last_os_error().raw_os_error() == Some(libc::EINTR);
    if ran != 0 && !interrupted {
        return None;
    }
    call(cpu, KVM_GET_REGS, &mut registers as *mut _ as u64)?;
    let ring = registers.rax & 3;
    Some(if ring != 0 {
        Verdict::Pvm
    } else if ran == 0 && (*area).exit_reason == KVM_EXIT_HLT {
        Verdict::Usable
    } else if interrupted {
        Verdict::Slow
    } else {
        Verdict::Refused
    })
}

unsafe fn call(fd: i32, request: u64, argument: u64) -> Option<i32> {
    match libc::ioctl(fd, request as _, argument) {
        result if result < 0 => None,
        result => Some(result),
    }
}

unsafe fn map(size: usize, flags: i32, fd: i32) -> Option<*mut u8> {
    match libc::mmap(ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, fd, 0) {
        libc::MAP_FAILED => None,
        address => Some(address.cast()),
    }
}

// The ioctl numbers above carry these sizes.
const _: () = assert!(size_of::<SpecialRegisters>() == 312 && size_of::<Registers>() == 144);
const _: () = assert!(size_of::<MemoryRegion>() == 32 && size_of::<Segment>() == 24);
