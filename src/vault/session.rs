//! One login for all who use the server. Whoever finds it missing or due makes it; the others wait for that and share
//! its end, good or bad.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::lease::{Due, Lease};
use super::login::{self, Resolve};
use super::transport::{Reply, Request, Transport};
use super::{Clock, VaultError};
use crate::config::model::Vault;
use crate::domain::{BootInstant, Secret};

/// A refused token is replaced at most this often, in milliseconds: a policy that denies must not become a login storm.
const BETWEEN_REPLACEMENTS: u64 = 30_000;

pub(super) struct Session {
    settings: Arc<Vault>,
    transport: Transport,
    resolve: Resolve,
    clock: Clock,
    /// One login or renewal at a time.
    turn: Semaphore,
    state: Mutex<State>,
    pub(super) logins: AtomicU64,
    pub(super) renewals: AtomicU64,
}

#[derive(Default)]
struct State {
    lease: Option<Lease>,
    /// Which token it is: another number, another token.
    serial: u64,
    /// Logins and renewals that have ended, and how the last one failed.
    ended: u64,
    failed: Option<VaultError>,
    /// The last time that the server took the token.
    taken_at: Option<BootInstant>,
    /// The last time that a refused token was replaced.
    replaced_at: Option<BootInstant>,
}

impl Session {
    pub(super) fn new(settings: Arc<Vault>, resolve: Resolve, clock: Clock) -> Self {
        Self {
            transport: Transport::new(Arc::clone(&settings)),
            settings,
            resolve,
            clock,
            turn: Semaphore::new(1),
            state: Mutex::default(),
            logins: AtomicU64::new(0),
            renewals: AtomicU64::new(0),
        }
    }

    /// Asks with the token. A 403 that comes from a token that the server no longer knows is asked again, once, after a
    /// new login; one that comes from the policy is handed back.
    pub(super) async fn ask(&self, request: &Request) -> Result<Reply, VaultError> {
        let (token, serial) = self.token().await?;
        let began = (self.clock)();
        let reply = self.transport.send(request, Some(&token)).await?;
        if reply.status != 403 {
            self.taken(serial);
            return Ok(reply);
        }
        if !self.replaced(&token, serial, began).await? {
            return Ok(reply);
        }
        let (token, _) = self.token().await?;
        self.transport.send(request, Some(&token)).await
    }

    /// Sees to the lease, where that is due.
    pub(super) async fn token(&self) -> Result<(Secret, u64), VaultError> {
        let seen = match self.usable() {
            Ok(token) => return Ok(token),
            Err(seen) => seen,
        };
        let _turn = self.turn.acquire().await;
        if let Ok(token) = self.usable() {
            return Ok(token);
        }
        {
            let state = self.lock();
            if state.ended != seen
                && let Some(failed) = &state.failed
            {
                return Err(failed.clone());
            }
        }
        self.see_to_it().await
    }

    /// When [`Session::token`] has something to do without being asked; `None` without a lease that ends.
    pub(super) fn due_at(&self) -> Option<BootInstant> {
        self.lock().lease.as_ref().and_then(Lease::due_at)
    }

    /// The token, where nothing is due; else how many logins have ended.
    fn usable(&self) -> Result<(Secret, u64), u64> {
        let now = (self.clock)();
        let state = self.lock();
        match &state.lease {
            Some(lease) if lease.alive(now) && lease.due(now) == Due::Nothing => {
                Ok((lease.token.clone(), state.serial))
            }
            _ => Err(state.ended),
        }
    }

    /// Renews or logs in. Called by who has the turn. A lease that still lives outlasts a failure.
    async fn see_to_it(&self) -> Result<(Secret, u64), VaultError> {
        let now = (self.clock)();
        let lease = self.lock().lease.clone().filter(|lease| lease.alive(now));
        let outcome = match &lease {
            Some(lease) if lease.due(now) == Due::Renew => self.renew(lease, now).await,
            _ => self.login(now).await,
        };
        let mut state = self.lock();
        state.ended += 1;
        match (outcome, lease) {
            (Ok((lease, another)), _) => {
                state.serial += u64::from(another);
                state.failed = None;
                let token = lease.token.clone();
                state.lease = Some(lease);
                Ok((token, state.serial))
            }
            (Err(error), Some(lease)) if lease.alive((self.clock)()) => {
                state.failed = Some(error);
                let token = lease.token.clone();
                state.lease = Some(lease.postponed((self.clock)()));
                Ok((token, state.serial))
            }
            (Err(error), _) => {
                state.lease = None;
                state.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// The lease, and whether its token is another one.
    async fn renew(&self, lease: &Lease, now: BootInstant) -> Result<(Lease, bool), VaultError> {
        self.renewals.fetch_add(1, Relaxed);
        match login::renew(&self.transport, &lease.token).await? {
            Some(grant) => Ok((lease.clone().renewed(grant, now), false)),
            None => self.login((self.clock)()).await,
        }
    }

    async fn login(&self, now: BootInstant) -> Result<(Lease, bool), VaultError> {
        self.logins.fetch_add(1, Relaxed);
        let (token, grant) = login::login(&self.transport, &self.settings.auth, &self.resolve).await?;
        Ok((Lease::new(token, grant, now), true))
    }

    /// After a 403: whether there is another token now, so that asking again makes sense.
    async fn replaced(&self, token: &Secret, serial: u64, began: BootInstant) -> Result<bool, VaultError> {
        let _turn = self.turn.acquire().await;
        let now = (self.clock)();
        {
            let state = self.lock();
            if state.serial != serial {
                return Ok(true);
            }
            let lately = |instant: BootInstant| now.0.saturating_sub(instant.0) < BETWEEN_REPLACEMENTS;
            // Somebody's request with this token was answered meanwhile: the token lives, the policy denies.
            if state.taken_at.is_some_and(|taken| taken >= began) || state.replaced_at.is_some_and(lately) {
                return Ok(false);
            }
        }
        if login::lookup(&self.transport, token).await?.is_some() {
            self.taken(serial);
            return Ok(false);
        }
        {
            let mut state = self.lock();
            state.replaced_at = Some(now);
            state.lease = None;
        }
        self.see_to_it().await.map(|_| true)
    }

    fn taken(&self, serial: u64) {
        let now = (self.clock)();
        let mut state = self.lock();
        if state.serial == serial {
            state.taken_at = Some(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How seeing to the lease failed last, while the old one still lives.
    pub(super) fn trouble(&self) -> Option<VaultError> {
        self.lock().failed.clone()
    }
}
