/** `kvorum import` and `kvorum export`: from flags to work. */
import { FORMATS, type Format, formatNamed } from '../../formats/format.ts';
import type { Address } from '../address.ts';
import { CommandError } from '../command-error.ts';
import type { ExportFlags, ImportFlags } from '../program.ts';
import { DEFAULT_CLIENT_ADDRESS } from './addresses.ts';
import { ClusterLink } from './cluster-link.ts';
import { Directory } from './directory.ts';
import { exportFile } from './export.ts';
import { importFile } from './import.ts';
import type { Credentials } from './node-link.ts';

export async function importInto(file: string, flags: ImportFlags, credentials: Credentials): Promise<void> {
  const { into } = flags;
  if (into !== undefined && flags.to !== undefined)
    throw new CommandError('--into is a directory and --to a cluster: give one of them');
  const to = addressOf('--to', flags.to ?? DEFAULT_CLIENT_ADDRESS);
  const options = {
    format: flags.format ?? null,
    database: databaseOf(flags.db),
    lossy: flags.lossy ?? false,
    tornEnd: flags.tornEnd ?? false,
  };
  await importFile(file, options, async () => {
    if (into !== undefined) return Directory.create(into);
    const link = await ClusterLink.to(to, credentials);
    await link.openSession();
    return link;
  });
}

export async function exportFrom(file: string, flags: ExportFlags, credentials: Credentials): Promise<void> {
  const format = flags.format ?? formatOf(file);
  const from = flags.from ?? DEFAULT_CLIENT_ADDRESS;
  const origin = ADDRESS.test(from)
    ? await ClusterLink.to(addressOf('--from', from), credentials)
    : await Directory.existing(from);
  await exportFile(origin, file, { format, lossy: flags.lossy ?? false });
}

const ADDRESS = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/;

function addressOf(flag: string, text: string): Address {
  const [, inBrackets, plain, digits] = ADDRESS.exec(text) ?? [];
  const host = inBrackets ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535)
    throw new CommandError(`${flag}: "${text}" is no address; use <host>:<port>, for example 127.0.0.1:6380`);
  return { host, port };
}

function databaseOf(text: string | undefined): number | 'all' | null {
  if (text === undefined) return null;
  if (text === 'all') return text;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new CommandError(`--db: "${text}" is no database; use a number, or all`);
}

function formatOf(file: string): Format {
  const format = formatNamed(file);
  if (format === null)
    throw new CommandError(`${file}: its ending says no format; give --format, one of ${FORMATS.join(', ')}`);
  return format;
}
