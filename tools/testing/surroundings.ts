/** What tests take for granted of the surroundings they run in, whoever starts them. */
process.umask(0o022);
