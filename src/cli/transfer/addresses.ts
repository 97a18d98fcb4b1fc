/** Where the client port of a node without configuration is. */
export const DEFAULT_CLIENT_ADDRESS = '127.0.0.1:6380';
