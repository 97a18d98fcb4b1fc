/**
 * The smallest etcd client there can be: gRPC over `node:http2`, with the three protobuf messages it needs written by
 * hand. One HTTP/2 connection per client, as many streams on it as the pipeline is deep.
 *
 * It costs the generator more per request than the RESP client does (about 60 µs against 5 µs): etcd's protocol has
 * no cheaper way, and with etcd the limit lies elsewhere.
 */
import { type ClientHttp2Session, connect, constants } from 'node:http2';

import { type Connection, KEYS, VALUE_BYTES, type Workload, keyOf, valueOf } from './load.ts';

const PUT = '/etcdserverpb.KV/Put';
/** Linearizable unless the request asks for `serializable`. */
const RANGE = '/etcdserverpb.KV/Range';
const TXN = '/etcdserverpb.KV/Txn';
const STATUS = '/etcdserverpb.Maintenance/Status';

/** The most operations in one transaction that etcd takes by default. */
const TXN_OPERATIONS_MAX = 128;

/* --------------------------------------------------------------------------------------------- protobuf ---------- */

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** A length-delimited field: bytes, a string or a message. */
function field(number: number, content: Buffer | string): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : content;
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

const putRequest = (number: number): Buffer =>
  Buffer.concat([field(1, keyOf(number)), field(2, valueOf(number))]);
const rangeRequest = (number: number): Buffer => field(1, keyOf(number));
/** TxnRequest.success is field 2, RequestOp.request_put is field 2. */
const txnRequest = (numbers: readonly number[]): Buffer =>
  Buffer.concat(numbers.map((number) => field(2, field(2, putRequest(number)))));

/** gRPC's frame: not compressed, length, message. */
function frame(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The fields of a message, in order: bytes of a varint as hex (ids have 64 bits), or a length-delimited content. */
function* fields(message: Buffer): Generator<{ number: number; value: string | Buffer }> {
  let at = 0;
  const varintBytes = (): Buffer => {
    const start = at;
    while (((message[at] ?? 0) & 0x80) !== 0) at += 1;
    at += 1;
    return message.subarray(start, at);
  };
  const toNumber = (bytes: Buffer): number => bytes.reduceRight((sum, byte) => sum * 128 + (byte & 0x7f), 0);
  while (at < message.length) {
    const tag = toNumber(varintBytes());
    if (tag % 8 === 0) yield { number: Math.floor(tag / 8), value: varintBytes().toString('hex') };
    else if (tag % 8 === 2) {
      const length = toNumber(varintBytes());
      yield { number: Math.floor(tag / 8), value: message.subarray(at, at + length) };
      at += length;
    } else throw new Error(`unexpected wire type ${tag % 8} from etcd`);
  }
}

/* --------------------------------------------------------------------------------------------------- gRPC -------- */

/** One unary call; `done` gets the reply's message or what went wrong. */
function call(
  session: ClientHttp2Session,
  path: string,
  request: Buffer,
  done: (reply: Buffer | Error) => void,
): void {
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: path,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
    [constants.HTTP2_HEADER_TE]: 'trailers',
  });
  const chunks: Buffer[] = [];
  let status: unknown;
  const noted = (headers: Readonly<Record<string, unknown>>): void => {
    // An error may come in the headers, without a body and trailers.
    status = headers['grpc-status'] ?? status;
  };
  stream.on('response', noted).on('trailers', noted);
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.once('error', done);
  stream.once('end', () => {
    if (status === '0') done(Buffer.concat(chunks).subarray(5));
    else done(new Error(`etcd answered ${path} with grpc-status ${String(status)}`));
  });
  stream.end(request);
}

/** A session whose failure is reported by its streams; without a handler of its own it would end the process. */
function open(url: string): ClientHttp2Session {
  return connect(url).on('error', () => undefined);
}

function callOnce(session: ClientHttp2Session, path: string, request: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    call(session, path, request, (reply) => {
      if (reply instanceof Error) reject(reply);
      else resolve(reply);
    });
  });
}

const REQUESTS: { -readonly [Verb in Workload['verb']]?: readonly Buffer[] } = {};

function requestsOf(verb: Workload['verb']): readonly Buffer[] {
  const encode = verb === 'SET' ? putRequest : rangeRequest;
  REQUESTS[verb] ??= Array.from({ length: KEYS }, (_, number) => frame(encode(number)));
  return REQUESTS[verb];
}

export async function connectEtcd(url: string): Promise<Connection> {
  const session = open(url);
  await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject));
  return {
    send(verb, first, count, done): void {
      const requests = requestsOf(verb);
      const path = verb === 'SET' ? PUT : RANGE;
      let open = count;
      let failed: Error | undefined;
      for (let number = first; number < first + count; number += 1) {
        call(session, path, requests[number] ?? Buffer.alloc(0), (reply) => {
          if (reply instanceof Error) failed = reply;
          else if (verb === 'GET' && reply.length < VALUE_BYTES)
            failed = new Error('etcd did not find a key');
          open -= 1;
          if (open === 0) done(failed);
        });
      }
    },
    close: () => session.destroy(),
  };
}

/** Writes every key once, in transactions, because single puts would take half a minute. */
export async function fillEtcd(url: string): Promise<void> {
  const session = open(url);
  try {
    for (let first = 0; first < KEYS; first += TXN_OPERATIONS_MAX) {
      const count = Math.min(TXN_OPERATIONS_MAX, KEYS - first);
      const numbers = Array.from({ length: count }, (_, at) => first + at);
      await callOnce(session, TXN, frame(txnRequest(numbers)));
    }
  } finally {
    session.destroy();
  }
}

/** Whether the node at `url` leads now. Rejects while it is not up. */
export async function leadsEtcd(url: string): Promise<boolean> {
  const session = open(url);
  try {
    const status = await callOnce(session, STATUS, frame(Buffer.alloc(0)));
    // StatusResponse: header = 1, leader = 4. ResponseHeader: member_id = 2.
    const all = [...fields(status)];
    const header = all.find(({ number }) => number === 1)?.value;
    const leader = all.find(({ number }) => number === 4)?.value;
    if (!(header instanceof Buffer) || leader === undefined) return false;
    return [...fields(header)].some(({ number, value }) => number === 2 && value === leader);
  } finally {
    session.destroy();
  }
}
