// The engine of this process keeps the contract of all engines.

import { localEngine } from "../../../../coordinator/engine/local/local-engine.ts";
import { engineContract } from "../../../engine/contract.ts";

engineContract("local", (run) => localEngine.open({ kind: "local" }, run));
