//! The service desk: what is ordered there is judged, written down, judged again over the records as they then are, and
//! stored with what is done by it.

use crate::gate::{Gate, declined_as};
use crate::records::{DeskJudge, Records};
use naru_api::{Ground, Refused};
use naru_home::wall;
use naru_model::Time;
use naru_rights::Rights;
use naru_rights::desk::{Deed, begin, rule, seen};
use naru_who::{
    AuditEntry, AuditOutcome, DeskRequest, People, RequestOrder, RequestView, Resource, Right, Who,
};
use std::sync::Arc;

impl<R: Records> Gate<R> {
    pub(crate) async fn asked(&self, who: Who, order: RequestOrder) -> Result<RequestView, Refused> {
        let ruled = match rule(&self.rights(), &who, &order, wall()) {
            Ok(ruled) => ruled,
            Err(declined) => {
                let refused = declined_as(declined);
                self.note_refusal(&who, &order, &refused).await;
                return Err(refused);
            }
        };
        let text = spoken(&ruled.request, &order);
        self.note_allowed(&who, entry(&who, order.word(), &ruled.request, text)).await?;
        if let Deed::Demand(demand) = &ruled.deed {
            let (right, _) = ruled.request.asked.takes();
            let text = format!("by request {}, approved by {}", ruled.request.id, who.name);
            let asking = Who { name: demand.actor.clone(), ..who.clone() };
            let entry = AuditEntry {
                by: Some(format!("request {}", ruled.request.id)),
                ..entry(&asking, right.word(), &ruled.request, text)
            };
            self.note_allowed(&who, entry).await?;
        }
        let policies = self.policies();
        let (whoever, ordered) = (who.clone(), order);
        let judge: DeskJudge = Box::new(move |people: &Arc<People>, now| {
            rule(&Rights::new(people.clone(), policies), &whoever, &ordered, now).map_err(declined_as)
        });
        let request = self.records.rule(judge).await?;
        let views = seen(&self.rights(), &who, wall());
        let view = views.into_iter().find(|view| view.request.id == request.id);
        Ok(view.unwrap_or(RequestView { request, may: vec![] }))
    }

    /// Begins a right that was approved, at its first use.
    pub(crate) async fn begun(&self, who: Who, right: Right, on: Resource) -> Result<bool, Refused> {
        let Some(ruled) = begin(&self.rights(), &who, right, &on, wall()) else { return Ok(false) };
        let text = format!("the time of request {} begins", ruled.request.id);
        self.note_allowed(&who, entry(&who, right.word(), &ruled.request, text)).await?;
        let policies = self.policies();
        let judge: DeskJudge = Box::new(move |people: &Arc<People>, now: Time| {
            let rights = Rights::new(people.clone(), policies);
            let gone = "what was approved is used already, or was taken back";
            let ruled = begin(&rights, &who, right, &on, now);
            ruled.ok_or_else(|| Refused::new(Ground::Conflict, gone, "`naru requests` shows how it stands"))
        });
        match self.records.rule(judge).await {
            Ok(_) => Ok(true),
            // Another use was the first: whether that is enough, the next look at the rights tells.
            Err(refused) if refused.ground == Ground::Conflict => Ok(true),
            Err(refused) => Err(refused),
        }
    }

    async fn note_allowed(&self, who: &Who, entry: AuditEntry) -> Result<(), Refused> {
        match self.write_down(entry).await {
            Err(error) if who.is_owner() => {
                tracing::error!(%error, "what the owner does is not in the audit");
                Ok(())
            }
            noted => noted,
        }
    }

    async fn note_refusal(&self, who: &Who, order: &RequestOrder, refused: &Refused) {
        let about = order.id().map(|id| format!("request {id}: ")).unwrap_or_default();
        let on = match order {
            RequestOrder::Make { asked, .. } => asked.takes().1.first().map(ToString::to_string),
            _ => None,
        };
        let entry = AuditEntry {
            time: wall(),
            who: who.name.clone(),
            from: who.from.clone(),
            action: order.word().into(),
            on: on.filter(|on| on.len() <= NAMED_MAX).unwrap_or_default(),
            outcome: AuditOutcome::Refused,
            by: None,
            text: format!("{about}{}", refused.refusal.error),
        };
        if let Err(error) = self.write_down(entry).await {
            tracing::error!(%error, "a refusal is not in the audit");
        }
    }
}

/// What is no name is not written down.
const NAMED_MAX: usize = 300;

fn entry(who: &Who, action: &str, request: &DeskRequest, text: String) -> AuditEntry {
    let (_, on) = request.asked.takes();
    AuditEntry {
        time: wall(),
        who: who.name.clone(),
        from: who.from.clone(),
        action: action.into(),
        on: on.first().map(ToString::to_string).unwrap_or_default(),
        outcome: AuditOutcome::Allowed,
        by: None,
        text,
    }
}

fn spoken(request: &DeskRequest, order: &RequestOrder) -> String {
    let why = match order {
        RequestOrder::Make { reason, .. } | RequestOrder::Deny { reason, .. } => Some(reason.as_str()),
        RequestOrder::Approve { reason, .. } | RequestOrder::Revoke { reason, .. } => reason.as_deref(),
        RequestOrder::Withdraw { .. } => None,
    };
    let shorter = match order {
        RequestOrder::Approve { lasts: Some(lasts), .. } => format!(", for {lasts} only"),
        _ => String::new(),
    };
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("{}{shorter}{why}", request.sentence())
}
