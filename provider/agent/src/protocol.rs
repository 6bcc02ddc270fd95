//! The numbers of the guest protocol; docs/agentProtocol.md explains them. Both ends keep this list.

pub const VERSION: u16 = 1;
/// In HELLO's flags: the programs of an earlier session go on. For a machine that was saved with them.
pub const KEEP_PROGRAMS: u8 = 1;
/// Opens HELLO and HELLO_ACK, so that they can be found in the rests of a broken connection.
pub const MAGIC: [u8; 8] = *b"SBXAGENT";
pub const NONCE_BYTES: usize = 16;

/// Length (u32), stream (u32), type (u8); big-endian as all numbers here.
pub const HEADER_BYTES: usize = 9;
pub const MAX_PAYLOAD: usize = 64 * 1024;
/// Between frames this byte is skipped: no length begins with it.
pub const PADDING: u8 = 0xff;
/// A request that is larger than a frame comes in parts, up to this.
pub const MAX_REQUEST: usize = 4 * 1024 * 1024;

/// Largest frame the guest sends: what virtio-serial takes in one write.
pub const GUEST_FRAME_BYTES: usize = 32 * 1024;
/// Bytes of one output channel that the guest may send ahead of the host's reader.
pub const GUEST_WINDOW: u32 = 256 * 1024;
/// Bytes of one input channel that the host may send ahead of the guest's reader.
pub const HOST_WINDOW: u32 = 64 * 1024;

/// Programs started in the background that are known at the same time, ended ones included.
pub const MAX_STARTED: usize = 64;
pub const MAX_STREAMS: usize = 1024;
/// Of these, connections that programs in the guest opened.
pub const MAX_ARRIVALS: usize = 256;

pub mod frame {
    pub const HELLO: u8 = 1;
    pub const HELLO_ACK: u8 = 2;
    pub const PING: u8 = 3;
    pub const PONG: u8 = 4;
    pub const BYE: u8 = 5;
    /// The machine cannot start; magic, then the reason as text. The last that is heard of it.
    pub const FATAL: u8 = 6;
    pub const OPEN: u8 = 16;
    pub const OPEN_PART: u8 = 17;
    pub const OPENED: u8 = 18;
    pub const DATA: u8 = 19;
    /// DATA of the second channel: standard error.
    pub const DATA_ERROR: u8 = 20;
    pub const CREDIT: u8 = 21;
    /// No more DATA from this side on the channel that the payload names.
    pub const EOF: u8 = 22;
    pub const CONTROL: u8 = 23;
    pub const END: u8 = 24;
    pub const RESET: u8 = 25;
}

/// What a stream does; the value of tag KIND in OPEN.
pub mod kind {
    pub const EXEC: u8 = 1;
    pub const READ_FILE: u8 = 2;
    pub const WRITE_FILE: u8 = 3;
    pub const STAT: u8 = 4;
    pub const LIST: u8 = 5;
    pub const MKDIR: u8 = 6;
    pub const REMOVE: u8 = 7;
    pub const REFRESH: u8 = 8;
    pub const CONNECT: u8 = 9;
    pub const LISTEN: u8 = 10;
    pub const ARCHIVE: u8 = 11;
    pub const SPACE: u8 = 12;
    pub const MOUNT: u8 = 13;
    pub const START: u8 = 14;
    pub const LIST_STARTED: u8 = 15;
    pub const READ_STARTED: u8 = 16;
    pub const SIGNAL_STARTED: u8 = 17;
    pub const REMOVE_STARTED: u8 = 18;
}

pub mod tag {
    pub const KIND: u8 = 1;
    pub const ARGUMENT: u8 = 10;
    pub const VARIABLE: u8 = 11;
    pub const CWD: u8 = 12;
    pub const USER: u8 = 13;
    pub const STDIN: u8 = 14;
    pub const TIMEOUT_MS: u8 = 15;
    pub const TERMINAL: u8 = 16;
    pub const STARTED_MS: u8 = 17;
    /// An answer may come later: when there is something to tell.
    pub const WAIT: u8 = 18;
    pub const PATH: u8 = 20;
    pub const OFFSET: u8 = 21;
    pub const LENGTH: u8 = 22;
    pub const MODE: u8 = 23;
    pub const CREATE_DIRS: u8 = 24;
    pub const RECURSIVE: u8 = 25;
    pub const READ_ONLY: u8 = 26;
    pub const HOSTNAME: u8 = 30;
    pub const MACHINE_ID: u8 = 31;
    pub const ENTROPY: u8 = 32;
    pub const CLOCK_MS: u8 = 33;
    pub const PORT: u8 = 40;
    /// Stream of the listener that a connection came to.
    pub const LISTENER: u8 = 41;
    pub const EXIT_CODE: u8 = 50;
    pub const SIGNAL: u8 = 51;
    pub const DURATION_MS: u8 = 52;
    pub const TIMED_OUT: u8 = 53;
    pub const FAILURE: u8 = 54;
    pub const ERRNO: u8 = 55;
    pub const SIZE: u8 = 56;
    pub const FREE: u8 = 57;
    pub const AVAILABLE: u8 = 58;
    pub const NAME: u8 = 60;
    pub const FILE_TYPE: u8 = 61;
    pub const MODIFIED_MS: u8 = 62;
    pub const UID: u8 = 63;
    pub const GID: u8 = 64;
    pub const TARGET: u8 = 65;
    /// One directory entry, or one program: tags nested in a value.
    pub const ENTRY: u8 = 66;
    /// Pieces of a program's output, in their order.
    pub const OUTPUT: u8 = 67;
    pub const ERROR_OUTPUT: u8 = 68;
}

/// Why a stream failed; the value of tag FAILURE in END.
pub mod failure {
    /// The request cannot be understood or asks for what is not there.
    pub const INVALID: u8 = 1;
    pub const PROGRAM_NOT_FOUND: u8 = 2;
    pub const CWD_NOT_FOUND: u8 = 3;
    pub const PROGRAM_FORBIDDEN: u8 = 4;
    pub const CWD_FORBIDDEN: u8 = 5;
    pub const NOT_EXECUTABLE: u8 = 6;
    pub const INTERPRETER_NOT_FOUND: u8 = 7;
    pub const USER_UNKNOWN: u8 = 8;
    pub const GROUP_UNKNOWN: u8 = 9;
    pub const CANCELLED: u8 = 10;
    /// Any other failed system call; ERRNO says which error. The only kind of file failures.
    pub const SYSTEM: u8 = 11;
    pub const NOT_A_FILE: u8 = 12;
    pub const TOO_MANY: u8 = 13;
    /// No program of that name was started here, or it is forgotten.
    pub const UNKNOWN_PROGRAM: u8 = 14;
}
